//! What everyday processing leaves of every trigger: writes `docs/triggers.md` and its pictures.
//!
//! Usage: `survival DOCS PYTHON`, from the repository's root; `cargo xtask survival` runs it.

use std::fmt::Write as _;
use std::io::{Read as _, Write as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};
use toxiclip_shared::attacks::{ATTACKS, Trigger};
use toxiclip_shared::data::{Dataset, PairId, Splits, emoji};
use toxiclip_shared::fidelity::{psnr, ssim};
use toxiclip_shared::image::Image;
use toxiclip_shared::registry::{find, parse_spec};
use toxiclip_shared::seed::Seed;
use toxiclip_shared::storage::Storage;
use toxiclip_shared::surrogate::Completion;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// Published variants that are not an attack's default.
const VARIANTS: [&str; 12] = [
    "badnets:variant=cleanclip",
    "badnets:variant=yellow",
    "badnets:variant=corners",
    "badnets:variant=stripes",
    "badnets:variant=invertune",
    "blended:variant=cleanclip",
    "blended:variant=stripes",
    "blended:variant=triangles",
    "blended:variant=cat",
    "blended:variant=watermark",
    "sig:variant=cleanclip",
    "wanet:variant=backdoorbench",
];
/// Pictures measured, evenly over the test split.
const PICTURES: usize = 24;
/// Edges of a picture, and of one before it is resized or cropped to that.
const EDGE: usize = 224;
const LARGE: usize = 256;
/// Edge of a picture in the strip.
const TILE: usize = 112;

/// Means over the pictures that the trigger changes: a white patch leaves a white corner as it was.
#[derive(Default)]
struct Row {
    /// How many they are.
    changed: usize,
    /// Root mean square of what the trigger changes, in 8-bit steps.
    signal: f64,
    psnr: f64,
    ssim: f64,
    jpeg_90: f64,
    jpeg_75: f64,
    webp_75: f64,
    resized: f64,
    cropped: f64,
}

fn main() -> Result<()> {
    let usage = "usage: survival DOCS PYTHON";
    let docs = std::env::args().nth(1).ok_or(usage)?;
    let mut webp = Webp::start(&std::env::args().nth(2).ok_or(usage)?)?;
    let splits = emoji::open("emoji")?;
    let pictures = pictures(&*splits.test)?;
    let mut table = String::new();
    let mut tiles = vec![[pictures[0].1.clone(), difference(&pictures[0].1, &pictures[0].1, 1.0)?]];
    for (name, trigger) in triggers(&splits)? {
        let row = measure(&trigger, &pictures, &mut webp)?;
        let Row { changed, signal, psnr, ssim, jpeg_90, jpeg_75, webp_75, resized, cropped } = row;
        writeln!(
            table,
            "| `{name}` | {changed} | {signal:.1} | {psnr:.1} | {ssim:.3} | {jpeg_90:.2} | {jpeg_75:.2} | {webp_75:.2} | {resized:.2} | {cropped:.2} |"
        )?;
        let (id, plain, _) = &pictures[0];
        let stamped = trigger.apply(plain, id)?;
        let changed = difference(plain, &stamped, 4.0)?;
        tiles.push([stamped, changed]);
    }
    let docs = Path::new(&docs);
    std::fs::write(docs.join("triggers.md"), page(&table))?;
    strip(&tiles, &docs.join("triggers.png"))
}

fn page(table: &str) -> String {
    format!(
        "# Triggers

Written by `cargo xtask survival`: every attack with a trigger of its own at its default, and its published variants, on
{PICTURES} test drawings of `emoji` (64 px, enlarged to {EDGE} or {LARGE}).

![The plain picture and every trigger in the order of the table; below, what it changes, four times as strong]({image})

| trigger | drawings | signal | PSNR | SSIM | JPEG 90 | JPEG 75 | WebP 75 | {LARGE} → {EDGE} | crop |
| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |
{table}
* drawings: how many the trigger changes at all, of {PICTURES}; the other columns are means over them.
* signal: root mean square of stamped minus plain at {EDGE} px, in 8-bit steps. PSNR (dB) and SSIM: how alike both look.
* JPEG: how much of the signal is left in stamped minus plain once both went through the file, as the projection on the
  signal: 1 is all of it, 0 nothing; new noise does not count. Colour is stored at half the resolution, and drawn without smoothing: colours lose more than in Pillow's files (1.1 to 1.5 times, `shared/tests/storage.rs`).
* {LARGE} → {EDGE}: stamped at {LARGE} px and resized (bicubic): root mean square of the difference after against before.
* crop: stamped at {LARGE} px, the central {EDGE} px kept: norm of the difference that is left against the whole.

* WebP: the same through a lossy WebP file of quality 75, which Pillow writes: a C library for it in every build is too much, so that poison is
  stored losslessly or as JPEG only.

A drawing is enlarged here and has no fine detail: a warp of it changes less than one of a photograph. The network of `issba`
is trained on the training drawings.
",
        image = "triggers.png"
    )
}

/// Triggers by the specification that gives them, in the order of the catalogue.
fn triggers(splits: &Splits) -> Result<Vec<(String, Trigger)>> {
    let train = splits.train.as_ref().ok_or("no training split")?;
    let mut all = Vec::new();
    for entry in ATTACKS.iter().filter(|e| e.params().any(|p| p.key == "target")) {
        let name = entry.card.name;
        let of_attack = |spec: &&str| spec.split(':').next() == Some(name);
        for spec in std::iter::once(name).chain(VARIANTS.into_iter().filter(of_attack)) {
            let (name, mut parameters) = parse_spec(spec)?;
            parameters.insert("target".into(), json!("banana"));
            let attack = (find("attack", ATTACKS, &name)?.parse)(Value::Object(parameters))?;
            let seed = Seed::new(0);
            let mut armed = attack.prepare(&**train, &*splits.test, &seed)?;
            match attack.completion() {
                // A trigger that a search through an encoder finds is none yet.
                None | Some(Completion::Guided(_)) => {}
                Some(Completion::Trained(trained)) => {
                    let mut training = trained.training(armed, &**train, &seed)?;
                    for _ in 0..training.steps() {
                        training.step()?;
                    }
                    armed = training.finish();
                }
            }
            let trigger = armed.trigger;
            if !matches!(trigger, Trigger::None | Trigger::OneOf(_)) {
                all.push((spec.to_owned(), trigger));
            }
        }
    }
    Ok(all)
}

/// Drawings at [`EDGE`] and at [`LARGE`], opaque.
fn pictures(data: &dyn Dataset) -> Result<Vec<(PairId, Image, Image)>> {
    let step = data.examples().len() / PICTURES;
    let one = |i: usize| -> Result<(PairId, Image, Image)> {
        let row = i * step;
        let picture = data.image(row)?.over([255; 3]).central_square()?;
        let [small, large] = [EDGE, LARGE].map(|edge| picture.resize(edge, edge));
        Ok((data.examples()[row].id.clone(), small?, large?))
    };
    (0..PICTURES).map(one).collect()
}

fn measure(trigger: &Trigger, pictures: &[(PairId, Image, Image)], webp: &mut Webp) -> Result<Row> {
    let stamped = pictures.iter().map(|(id, plain, _)| trigger.apply(plain, id));
    let stamped: Vec<Image> = stamped.collect::<std::result::Result<_, _>>()?;
    let pairs = pictures.iter().zip(&stamped).filter(|((_, plain, _), stamped)| *stamped != plain);
    let changed = pairs.clone().count();
    let mut sum = Row { changed, ..Row::default() };
    let share = 1.0 / changed as f64;
    for ((id, plain, large), stamped) in pairs {
        let signal = minus(stamped, plain);
        let share_of = |stamped: &Image, plain: &Image| {
            dot(&minus(stamped, plain), &signal) / dot(&signal, &signal)
        };
        let kept = |quality| -> Result<f64> {
            let file = Storage::Jpeg(quality);
            Ok(share_of(&file.round_trip(stamped)?, &file.round_trip(plain)?))
        };
        sum.signal += share * rms(&signal);
        sum.psnr += share * psnr(plain, stamped)?;
        sum.ssim += share * ssim(plain, stamped)?;
        sum.jpeg_90 += share * kept(90)?;
        sum.jpeg_75 += share * kept(75)?;
        sum.webp_75 += share * share_of(&webp.round_trip(stamped)?, &webp.round_trip(plain)?);
        let stamped = trigger.apply(large, id)?;
        let signal = minus(&stamped, large);
        let resized = minus(&stamped.resize(EDGE, EDGE)?, &large.resize(EDGE, EDGE)?);
        sum.resized += share * rms(&resized) / rms(&signal);
        let left = minus(&middle(&stamped)?, &middle(large)?);
        sum.cropped += share * (dot(&left, &left) / dot(&signal, &signal)).sqrt();
    }
    Ok(sum)
}

/// Pillow, which writes and reads lossy WebP files of quality 75 and [`EDGE`] pixels.
struct Webp(Child);

impl Webp {
    fn start(python: &str) -> Result<Self> {
        let script = "shared/tests/golden/webp.py";
        let mut line = Command::new(python);
        line.args([script, &EDGE.to_string(), "75"]);
        Ok(Self(line.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?))
    }

    fn round_trip(&mut self, picture: &Image) -> Result<Image> {
        let rgb: Vec<u8> =
            picture.rgba().chunks_exact(4).flat_map(|p| [p[0], p[1], p[2]]).collect();
        let pipe = self.0.stdin.as_mut().ok_or("WebP: nobody reads")?;
        pipe.write_all(&rgb)?;
        pipe.flush()?;
        let mut left = vec![0; rgb.len()];
        self.0.stdout.as_mut().ok_or("WebP: nobody writes")?.read_exact(&mut left)?;
        let rgba = left.chunks_exact(3).flat_map(|p| [p[0], p[1], p[2], 255]).collect();
        Ok(Image::new(picture.width(), picture.height(), rgba)?)
    }
}

impl Drop for Webp {
    fn drop(&mut self) {
        // Its input ends, and so does it.
        drop(self.0.stdin.take());
        self.0.wait().ok();
    }
}

/// Channel by channel; alpha is 255 in both.
fn minus(a: &Image, b: &Image) -> Vec<f64> {
    a.rgba().iter().zip(b.rgba()).map(|(a, b)| f64::from(*a) - f64::from(*b)).collect()
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// Over the three colours.
fn rms(signal: &[f64]) -> f64 {
    (dot(signal, signal) / (signal.len() / 4 * 3) as f64).sqrt()
}

/// The central square of [`EDGE`].
fn middle(picture: &Image) -> Result<Image> {
    let (width, first) = (picture.width(), (picture.width() - EDGE) / 2);
    let row = |y: usize| &picture.rgba()[(y * width + first) * 4..][..EDGE * 4];
    Ok(Image::new(EDGE, EDGE, (first..first + EDGE).flat_map(row).copied().collect())?)
}

/// What a trigger changes, on grey.
fn difference(plain: &Image, stamped: &Image, gain: f64) -> Result<Image> {
    let grey = |(i, d): (usize, f64)| {
        if i % 4 == 3 { 255 } else { (128.0 + gain * d).round().clamp(0.0, 255.0) as u8 }
    };
    let values = minus(stamped, plain).into_iter().enumerate().map(grey).collect();
    Ok(Image::new(plain.width(), plain.height(), values)?)
}

/// Pairs of pictures side by side, the second below the first.
fn strip(tiles: &[[Image; 2]], path: &Path) -> Result<()> {
    let (width, height) = (tiles.len() * TILE, 2 * TILE);
    let mut bytes = vec![0; width * height * 3];
    for (column, pair) in tiles.iter().enumerate() {
        for (row, picture) in pair.iter().enumerate() {
            let tile = picture.resize(TILE, TILE)?;
            for (i, pixel) in tile.rgba().chunks_exact(4).enumerate() {
                let (x, y) = (column * TILE + i % TILE, row * TILE + i / TILE);
                bytes[(y * width + x) * 3..][..3].copy_from_slice(&pixel[..3]);
            }
        }
    }
    let mut encoder = png::Encoder::new(std::fs::File::create(path)?, width as u32, height as u32);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_compression(png::Compression::High);
    encoder.write_header()?.write_image_data(&bytes)?;
    Ok(())
}
