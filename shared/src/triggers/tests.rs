use super::*;
use crate::seed::Seed;

fn picture(edge: usize) -> Image {
    let mut stream = Seed::new(7).child("picture").stream();
    let bytes = (0..edge * edge)
        .flat_map(|_| [0, 1, 2].map(|_| stream.below(256) as u8).into_iter().chain([255]));
    Image::new(edge, edge, bytes.collect::<Vec<_>>()).unwrap()
}

fn id(name: &str) -> PairId {
    PairId(name.into())
}

fn patch(fill: Fill, place: Place, fresh: bool) -> Trigger {
    Trigger::Patch(Patch { size: 28, place, fill, fresh, range: Range::Clip, resolution: None })
}

fn all() -> Vec<Trigger> {
    let mut all = vec![
        Trigger::Wave(Wave { delta: 60.0, frequency: 6.0, alpha: None, resolution: None }),
        Trigger::Wave(Wave { delta: 60.0, frequency: 6.0, alpha: Some(0.2), resolution: None }),
        Trigger::Frequency(Frequency { magnitude: 300.0, window: 32, resolution: None }),
        Trigger::Nashville(Nashville { resolution: None }),
        Trigger::Warp(Warp { grid: Some(4), strength: 4.0, field: 0, resolution: None }),
    ];
    let overlays =
        [Overlay::Noise, Overlay::Stripes, Overlay::Triangles, Overlay::Cat, Overlay::Watermark];
    for overlay in overlays {
        all.push(Trigger::Blend(Blend { alpha: 0.2, overlay, fresh: false, resolution: None }));
    }
    for fill in [Fill::Dots, Fill::Yellow, Fill::White, Fill::Noise, Fill::Stripes] {
        all.push(patch(fill, Place::BottomRight, false));
    }
    all
}

#[test]
fn every_trigger_changes_what_the_encoder_sees_and_survives_its_file() {
    for trigger in all() {
        let stamped = trigger.apply(&picture(64), &id("a")).unwrap();
        let small = |image: &Image| image.resize_crop(32).unwrap();
        assert_ne!(small(&stamped), small(&picture(64)), "{trigger:?}");
        let json = serde_json::to_string(&trigger).unwrap();
        let again: Trigger = serde_json::from_str(&json).unwrap();
        assert_eq!(again.apply(&picture(64), &id("a")).unwrap(), stamped, "{trigger:?}");
    }
}

#[test]
fn a_patch_covers_its_square_and_nothing_else() {
    let (before, edge, side) = (picture(64), 64, 8);
    for (place, left, top) in
        [(Place::TopLeft, 0, 0), (Place::BottomRight, 56, 56), (Place::Center, 28, 28)]
    {
        let after = patch(Fill::Yellow, place, false).apply(&before, &id("a")).unwrap();
        for (i, (old, new)) in before.rgba().chunks(4).zip(after.rgba().chunks(4)).enumerate() {
            let (x, y) = (i % edge, i / edge);
            let inside = (left..left + side).contains(&x) && (top..top + side).contains(&y);
            assert_eq!(
                new,
                if inside { &[255, 255, 0, 255] } else { old },
                "{place:?} at {x}, {y}"
            );
        }
    }
}

#[test]
fn a_noted_place_is_where_the_patch_goes_and_the_border_cuts_it() {
    let before = Image::new(64, 64, [0, 0, 0, 255].repeat(64 * 64)).unwrap();
    let Trigger::Patch(patch) = patch(Fill::White, Place::Center, false) else { unreachable!() };
    let at = [("a", [35, 70]), ("b", [-14, 210])].map(|(name, at)| (id(name), at));
    let trigger = Trigger::Placed(Placed { patch, at: at.into() });
    let white = |name: &str| -> Vec<(usize, usize)> {
        let after = trigger.apply(&before, &id(name)).unwrap();
        let pixels = after.rgba().chunks(4).enumerate().filter(|(_, p)| p[0] == 255);
        pixels.map(|(i, _)| (i % 64, i / 64)).collect()
    };
    let square = |left: usize, top: usize, right: usize, bottom: usize| {
        (top..bottom).flat_map(|y| (left..right).map(move |x| (x, y))).collect::<Vec<_>>()
    };
    assert_eq!(white("a"), square(10, 20, 18, 28));
    assert_eq!(white("b"), square(0, 60, 4, 64));
    assert_eq!(white("c"), square(28, 28, 36, 36), "a picture that is not named");
}

#[test]
fn fresh_is_another_for_every_sample_and_fixed_is_not() {
    let black = Image::new(64, 64, [0, 0, 0, 255].repeat(64 * 64)).unwrap();
    let differ = |trigger: &Trigger| {
        let of = |name| trigger.apply(&black, &id(name)).unwrap();
        assert_eq!(of("a"), of("a"), "the same sample twice");
        of("a") != of("b")
    };
    assert!(differ(&patch(Fill::Noise, Place::Center, true)));
    assert!(!differ(&patch(Fill::Noise, Place::Center, false)));
    assert!(differ(&patch(Fill::White, Place::Random, false)), "places are drawn");
    assert!(differ(&Trigger::Blend(Blend {
        alpha: 0.2,
        overlay: Overlay::Noise,
        fresh: true,
        resolution: None
    })));
}

#[test]
fn wrapping_is_what_a_cast_to_a_byte_does() {
    let mut canvas = Canvas::new(&picture(4));
    for (value, clip, wrap) in [(-1.0, 0, 1), (1.2, 255, 50), (0.5, 128, 127), (2.0, 255, 254)] {
        canvas.set(0, 0, 0, value, Range::Clip);
        assert_eq!(canvas.rgba[0], clip, "{value}");
        canvas.set(0, 0, 0, value, Range::Wrap);
        assert_eq!(canvas.rgba[0], wrap, "{value}");
    }
}

#[test]
fn lengths_scale_with_the_picture_and_must_fit() {
    assert_eq!([32, 64, 96, 224, 336].map(|edge| scaled(16, edge)), [2, 5, 7, 16, 24]);
    let huge = Trigger::Patch(Patch {
        size: 224,
        ..match patch(Fill::White, Place::Center, false) {
            Trigger::Patch(patch) => patch,
            _ => unreachable!(),
        }
    });
    let why = huge.apply(&picture(64), &id("a")).unwrap_err().to_string();
    assert!(why.contains("64 pixels does not fit a picture of 64"), "{why}");
}

#[test]
fn transparent_and_wide_pictures_become_opaque_squares() {
    let wide = Image::new(6, 4, [9, 9, 9, 0].repeat(24)).unwrap();
    let stamped = Trigger::None.apply(&wide, &id("a")).unwrap();
    assert_eq!((stamped.width(), stamped.height()), (4, 4));
    assert!(stamped.rgba().chunks(4).all(|p| p == [255; 4]));
}

#[test]
fn a_resolution_of_its_own_comes_before_the_stamp() {
    let small = picture(64).resize(32, 32).unwrap();
    let wave =
        |resolution| Trigger::Wave(Wave { delta: 60.0, frequency: 6.0, alpha: None, resolution });
    let apply = |trigger: Trigger, picture: &Image| trigger.apply(picture, &id("a")).unwrap();
    assert_eq!(apply(wave(Some(32)), &picture(64)), apply(wave(None), &small));
}
