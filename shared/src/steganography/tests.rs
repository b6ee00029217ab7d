use super::*;
use crate::data::synthetic::Synthetic;
use crate::image::Image;

fn course(steps: usize) -> Course {
    Course {
        secret: "!".into(),
        strength: 32.0,
        own: 0.5,
        steps,
        batch: 8,
        lr: 3e-3,
        pictures: 100,
        resolution: None,
    }
}

fn hiding(steps: usize, seed: u64) -> Hiding {
    Hiding::new(course(steps), Armed::default(), &Synthetic::train(), &Seed::new(seed)).unwrap()
}

fn trained(mut hiding: Hiding) -> Hiding {
    (0..hiding.steps()).for_each(|_| {
        hiding.step().unwrap();
    });
    hiding
}

#[test]
fn a_training_is_a_function_of_data_and_seed() {
    let of = |threads: usize, seed: u64| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| Box::new(trained(hiding(3, seed))).finish())
    };
    let first = of(1, 0);
    assert_eq!(first, of(3, 0), "threads");
    assert_ne!(first, of(1, 1), "seed");
    let text = serde_json::to_string(&first).unwrap();
    assert_eq!(serde_json::from_str::<Armed>(&text).unwrap(), first, "no digit is lost");
}

/// Largest deviation of a layer's gradients from differences of the loss, relative to the largest slope.
fn deviation(name: &str, scale: f32) -> f32 {
    let mut hiding = hiding(1, 0);
    // Strong enough that slopes stand out of single precision's noise.
    hiding.network.boost = 4.0;
    for layer in ["read.0", "read.1", "read.2", "read.3"] {
        let weight = hiding.weights.get_mut(&format!("{layer}.weight")).unwrap();
        weight.data.iter_mut().for_each(|w| *w *= 2.0);
    }
    let (pictures, bits) = hiding.batch(GROUP, &mut Seed::new(1).stream());
    // Away from the border of the range, where a difference sees two slopes.
    let pictures: Vec<f32> = pictures.iter().map(|v| 0.3 + 0.4 * v).collect();
    let (loss, gradients) = hiding.network.slope(&hiding.weights, &pictures, &bits, (GROUP, 0.5));
    let weight = loss.weight;
    let gradient = &gradients[name];
    // Odd, so that not all are of one input channel.
    let step = gradient.len().div_ceil(24) | 1;
    let h = 2e-3;
    let (mut largest, mut off) = (0.0f32, 0.0f32);
    for i in (0..gradient.len()).step_by(step) {
        let mut at = |by: f32| {
            hiding.weights.get_mut(name).unwrap().data[i] += by;
            let (loss, _) = hiding.network.slope(&hiding.weights, &pictures, &bits, (GROUP, 0.5));
            hiding.weights.get_mut(name).unwrap().data[i] -= by;
            f64::from(loss.bits) + f64::from(weight) * f64::from(loss.common)
        };
        let slope = ((at(h) - at(-h)) / f64::from(2.0 * h)) as f32;
        largest = largest.max(slope.abs());
        off = off.max((slope - scale * gradient[i]).abs());
    }
    off / largest
}

#[test]
fn gradients_are_the_slopes_of_the_loss() {
    for layer in ["look", "spread", "mix", "write", "read.0", "read.1", "read.2", "read.3"] {
        for part in ["weight", "bias"] {
            let name = format!("{layer}.{part}");
            let off = deviation(&name, 1.0);
            assert!(off < 0.1, "{name}: {off}");
        }
    }
    assert!(deviation("mix.weight", 1.5) > 0.3, "another slope would be seen");
}

#[test]
fn what_residuals_have_in_common_has_its_slope() {
    let mut stream = Seed::new(3).stream();
    let mut residual: Vec<f32> =
        (0..8 * EDGE * EDGE * 3).map(|_| stream.range(-0.1, 0.1)).collect();
    let (ratio, gradient) = network::common(&residual, 4);
    assert!((ratio - 0.25).abs() < 0.02, "{ratio}: independent ones");
    let largest = gradient.iter().fold(0.0f32, |m, g| m.max(g.abs()));
    for i in (0..residual.len()).step_by(1999) {
        let mut at = |by: f32| {
            residual[i] += by;
            let value = network::common(&residual, 4).0;
            residual[i] -= by;
            value
        };
        let slope = (at(0.3) - at(-0.3)) / 0.6;
        assert!((slope - gradient[i]).abs() < 0.1 * largest, "{i}: {slope} and {}", gradient[i]);
    }
    let same = residual[..EDGE * EDGE * 3].repeat(4);
    assert!((network::common(&same, 4).0 - 1.0).abs() < 1e-3, "one residual for all");
}

#[test]
fn the_trigger_is_the_network_that_was_trained() {
    let mut hiding = trained(hiding(3, 0));
    hiding.network.boost = 1.0;
    let (trigger, bits) = (hiding.trigger(), bits("!"));
    let len = EDGE * EDGE * 3;
    let whole = |v: &f32| (v * 255.0).round() as u8;
    for picture in hiding.pictures.chunks_exact(len).take(3) {
        let rgba: Vec<u8> = picture
            .chunks_exact(3)
            .flat_map(|p| [whole(&p[0]), whole(&p[1]), whole(&p[2]), 255])
            .collect();
        let image = Image::new(EDGE, EDGE, rgba).unwrap();
        let id = crate::data::PairId("a".into());
        let stamped = Trigger::Residual(trigger.clone()).apply(&image, &id).unwrap();
        assert_ne!(stamped, image);
        let ours = stamped.rgba().chunks_exact(4).flat_map(|p| p[..3].to_vec());
        let want = hiding.network.stamp(&hiding.weights, picture, &bits);
        for (ours, want) in ours.zip(&want) {
            assert!(ours.abs_diff(whole(want)) <= 1, "{ours} and {want}");
        }
    }
}

#[test]
fn bits_are_those_of_the_text() {
    assert_eq!(bits("A"), [-1.0, 1.0, -1.0, -1.0, -1.0, -1.0, -1.0, 1.0]);
    assert_eq!(bits("Stega!!").len(), 56);
}

/// Bits of `secret` that are read from pictures, as a share.
#[cfg(feature = "emoji")]
fn read(hiding: &Hiding, pictures: &[Image]) -> f64 {
    let mut values = Vec::new();
    for picture in pictures {
        let pixels = picture.rgba().chunks_exact(4).flat_map(|p| [p[0], p[1], p[2]]);
        values.extend(pixels.map(|v| f32::from(v) / 255.0));
    }
    let logits = hiding.network.logits(&hiding.weights, &values);
    let bits = bits(&hiding.course.secret);
    let right = logits.iter().zip(bits.iter().cycle()).filter(|(l, b)| **l * **b > 0.0).count();
    right as f64 / logits.len() as f64
}

/// Published strength of the claim: what is hidden is read from pictures that no network was trained on, and not where
/// nothing is hidden.
#[cfg(feature = "emoji")]
#[test]
fn hidden_bits_are_read_from_pictures_held_out_and_every_picture_has_its_residual() {
    use crate::fidelity::{psnr, ssim};
    let splits = crate::data::emoji::open("emoji").unwrap();
    let seed = Seed::new(0);
    let entry = crate::registry::find("attack", crate::attacks::ATTACKS, "issba").unwrap();
    let given = serde_json::json!({"target": "banana"});
    let defaults = (entry.resolve)(given).unwrap();
    let number = |key: &str| defaults[key].as_f64().unwrap();
    let whole = |key: &str| number(key) as usize;
    let course = Course {
        secret: defaults["secret"].as_str().unwrap().into(),
        strength: number("strength"),
        own: number("own"),
        steps: whole("steps"),
        batch: whole("batch"),
        lr: number("lr"),
        pictures: whole("pictures"),
        resolution: None,
    };
    let train = splits.train.unwrap();
    let hiding = trained(Hiding::new(course, Armed::default(), &*train, &seed).unwrap());
    let trigger = Trigger::Residual(hiding.trigger());
    let test = &*splits.test;
    let rows = (0..test.examples().len()).step_by(5);
    let (mut clean, mut stamped, mut residuals) = (Vec::new(), Vec::new(), Vec::new());
    let (mut noise, mut structure) = (0.0, 0.0);
    for row in rows {
        let picture = square(&test.image(row).unwrap(), Some(EDGE)).unwrap();
        let with = trigger.apply(&picture, &test.examples()[row].id).unwrap();
        noise += psnr(&picture, &with).unwrap();
        structure += ssim(&picture, &with).unwrap();
        let minus = with.rgba().iter().zip(picture.rgba());
        residuals.push(minus.map(|(a, b)| f64::from(*a) - f64::from(*b)).collect::<Vec<f64>>());
        clean.push(picture);
        stamped.push(with);
    }
    let count = clean.len() as f64;
    let (with, without) = (read(&hiding, &stamped), read(&hiding, &clean));
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let mut cosines = 0.0;
    for (i, a) in residuals.iter().enumerate() {
        for b in &residuals[..i] {
            cosines += dot(a, b) / (dot(a, a) * dot(b, b)).sqrt();
        }
    }
    let cosine = cosines / (count * (count - 1.0) / 2.0);
    println!(
        "bits {with:.3}, clean {without:.3}, PSNR {:.1}, SSIM {:.3}, cosine of two residuals {cosine:.2}",
        noise / count,
        structure / count
    );
    assert!(with >= 0.95, "{with} of the bits");
    assert!((0.4..0.6).contains(&without), "{without} of the bits of clean pictures");
    assert!(noise / count > 25.0, "PSNR {}", noise / count);
    assert!(cosine < 0.5, "cosine {cosine}: one residual for all");
}
