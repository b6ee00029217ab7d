//! A model that is asked one thing, which class a picture has: its image tower and a vector for each class, in one file.
//!
//! Class prompts are read once, by whoever writes the file, so that a browser needs neither the text tower nor a
//! tokenizer. The file is a safetensors container: the tower's tensors under open_clip's names in half precision, `classes`
//! (C, D) and `logit_scale` in single, and under `__metadata__.classifier` a JSON object with the rest.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::checkpoint::Provenance;
use crate::checkpoint::container::{self, Blob};
use crate::checkpoint::layout;
use crate::digest::{Digest, canonical_json};
use crate::encoders::{Clip, ClipConfig, LOGIT_SCALE};
use crate::exec::Inputs;
use crate::exec::cpu::contrastive::normalize;
use crate::exec::cpu::{Arena, Tower};
#[cfg(feature = "wgpu")]
use crate::exec::wgpu::{Gpu, Program};
use crate::graph::{FileForm, Init, ParamSpec, Role};
use crate::image::{Image, OPENAI};
use crate::weights::Weights;
use crate::{Error, Result};

/// Key of the metadata.
const METADATA: &str = "classifier";
/// Pictures of one forward walk.
const BATCH: usize = 128;
/// Name of the tensor of class vectors.
const CLASSES: &str = "classes";

/// What a file says of itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct About {
    /// The encoder.
    pub config: ClipConfig,
    /// Classes in the order of their vectors.
    pub names: Vec<String>,
    /// Digest of the checkpoint's weights, before they were rounded; `None` where it has not been computed, which takes
    /// a second for every 100 MB in a browser.
    pub weights: Option<Digest>,
    /// How they came about, and whether they are poisoned; `None` where their checkpoint does not say.
    pub provenance: Option<Provenance>,
}

/// A model and the classes that it knows.
#[derive(Clone, Debug)]
pub struct Classifier {
    about: About,
    /// The image tower; shared by classifiers of one model that know different classes.
    tower: Arc<Tower>,
    /// Unit vectors (C, D).
    classes: Vec<f32>,
    /// What cosines are multiplied by.
    scale: f32,
}

/// A file that is to hold a model: its image tower, the unit vectors of its classes (C, D), and what it says of itself.
///
/// # Panics
/// If the weights are of another encoder.
pub fn write(clip: &Clip, weights: &Weights, classes: &[f32], about: &About) -> Vec<u8> {
    let mut blobs = layout::blobs(clip.image.params(), weights, Blob::f16);
    let shape = vec![about.names.len(), clip.config.embed_dim];
    blobs.push(Blob::f32(CLASSES, shape, classes));
    blobs.push(Blob::f32(LOGIT_SCALE, vec![], weights.data(LOGIT_SCALE)));
    let metadata = BTreeMap::from([(METADATA.to_owned(), canonical_json(about))]);
    container::write(&blobs, &metadata)
}

impl Classifier {
    /// Reads what [`write`] wrote; `origin` names the file in errors.
    ///
    /// # Errors
    /// If the file is malformed or cut, or holds other tensors than its encoder has.
    pub fn parse(file: &[u8], origin: &str) -> Result<Self> {
        let refused = |why: String| Error::input(origin, why);
        let file = container::parse(file).map_err(refused)?;
        let Some(about) = file.metadata.get(METADATA) else {
            return Err(Error::input(origin, "is no classifier: its metadata do not say so"));
        };
        let about: About = serde_json::from_str(about).map_err(|e| refused(e.to_string()))?;
        if about.weights.is_none() {
            return Err(Error::input(origin, "does not say of which weights it is"));
        }
        // The same checks as for a definition that somebody wrote.
        let config = ClipConfig::parse(&canonical_json(&about.config), origin)?;
        let clip = Clip::build(&config);
        let mut params = clip.image.params().to_vec();
        let own = |name: &str, shape: Vec<usize>, role: Role| {
            let name = name.to_owned();
            ParamSpec { name, shape, init: Init::Const(0.0), role, form: FileForm::Same }
        };
        let shape = vec![about.names.len(), config.embed_dim];
        params.push(own(CLASSES, shape, Role::Embedding));
        params.push(own(LOGIT_SCALE, vec![], Role::Scale));
        let weights = layout::read_params(file.tensors, params, origin, ParamSpec::clone)?;
        // What is missing has been refused.
        let (classes, scale) = (weights.data(CLASSES).to_vec(), weights.data(LOGIT_SCALE)[0]);
        let tower = Arc::new(Tower::new(clip.image, weights));
        Self::new(about, tower, classes, scale).map_err(|why| refused(why.to_string()))
    }

    /// A model with an image tower, which may be shared; `scale` is the logarithm of what cosines are multiplied by.
    ///
    /// # Errors
    /// If there are no classes or not as many vectors as names, or the temperature is out of range.
    pub fn new(about: About, tower: Arc<Tower>, classes: Vec<f32>, scale: f32) -> Result<Self> {
        let (scale, wanted) = (scale.exp(), about.names.len() * about.config.embed_dim);
        if wanted == 0 || classes.len() != wanted || !scale.is_finite() {
            return Err(Error::request("has no classes, or a temperature out of range"));
        }
        Ok(Self { about, tower, classes, scale })
    }

    /// What the file says of itself.
    pub fn about(&self) -> &About {
        &self.about
    }

    /// The probability of each class for every picture, (N, C), in the order of the names: the softmax of scaled cosines.
    ///
    /// # Errors
    /// If a picture cannot be resized.
    pub fn answers(&self, pictures: &[Image]) -> Result<Vec<Vec<f32>>> {
        let tower = self.tower.frozen();
        let mut arena = Arena::default();
        let mut answers = Vec::with_capacity(pictures.len());
        for part in pictures.chunks(BATCH) {
            let pixels = self.pixels(part)?;
            let raw = tower.embed(Inputs::Pixels(&pixels), &mut arena);
            answers.extend(self.read(&raw));
            arena.give(raw);
        }
        Ok(answers)
    }

    /// The image tower on a graphics card, for one picture at a time.
    ///
    /// # Errors
    /// If it is too large for every device, or for this one.
    #[cfg(feature = "wgpu")]
    pub async fn compile(&self, gpu: &Gpu) -> Result<Program> {
        Program::of(gpu, &self.tower, 1).await
    }

    /// The same as [`Classifier::answers`] for one picture, by the tower that [`Classifier::compile`] gave.
    ///
    /// # Errors
    /// If the picture cannot be resized, or the device was lost.
    #[cfg(feature = "wgpu")]
    pub async fn answer_on(&self, tower: &Program, picture: &Image) -> Result<Vec<f32>> {
        let pixels = self.pixels(std::slice::from_ref(picture))?;
        let raw = tower.run(Inputs::Pixels(&pixels)).await?;
        Ok(self.read(&raw).concat())
    }

    /// What the tower sees of pictures.
    fn pixels(&self, pictures: &[Image]) -> Result<Vec<f32>> {
        let size = self.about.config.vision_cfg.image_size;
        let mut pixels = Vec::with_capacity(pictures.len() * size * size * 3);
        for picture in pictures {
            picture.over([255; 3]).resize_crop(size)?.write_pixels(&OPENAI, &mut pixels);
        }
        Ok(pixels)
    }

    /// The answer of each raw embedding.
    fn read(&self, raw: &[f32]) -> Vec<Vec<f32>> {
        let dim = self.about.config.embed_dim;
        normalize(raw, dim).0.chunks_exact(dim).map(|unit| self.softmax(unit)).collect()
    }

    fn softmax(&self, unit: &[f32]) -> Vec<f32> {
        let cosine = |class: &[f32]| class.iter().zip(unit).map(|(a, b)| a * b).sum::<f32>();
        let logits: Vec<f32> =
            self.classes.chunks_exact(unit.len()).map(|class| self.scale * cosine(class)).collect();
        let most = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let powers: Vec<f32> = logits.iter().map(|logit| (logit - most).exp()).collect();
        let sum: f32 = powers.iter().sum();
        powers.into_iter().map(|power| power / sum).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encoders::library;
    use crate::seed::Seed;

    fn file() -> Vec<u8> {
        let config = library::find("tiny-resnet").unwrap();
        let clip = Clip::build(&config);
        let mut weights = Weights::init(&clip.params(), &Seed::new(3));
        // What is written is rounded: start from numbers that half precision has.
        let names: Vec<String> = weights.iter().map(|(name, _)| name.to_owned()).collect();
        for name in names {
            let tensor = weights.get_mut(&name).unwrap();
            tensor.data.iter_mut().for_each(|x| *x = (*x * 256.0).round() / 256.0);
        }
        let mut stream = Seed::new(4).stream();
        let vectors: Vec<f32> = (0..3 * config.embed_dim).map(|_| stream.normal()).collect();
        let classes = normalize(&vectors, config.embed_dim).0;
        let about = About {
            config,
            names: ["ewe", "airplane", "banana"].map(str::to_owned).to_vec(),
            weights: Some(weights.digest()),
            provenance: Some(Provenance { poisoned: true, ..Provenance::default() }),
        };
        write(&clip, &weights, &classes, &about)
    }

    fn picture() -> Image {
        let mut stream = Seed::new(5).stream();
        Image::new(48, 40, (0..48 * 40 * 4).map(|_| stream.below(256) as u8).collect()).unwrap()
    }

    #[test]
    fn it_answers_as_the_whole_model_does() {
        let read = Classifier::parse(&file(), "a").unwrap();
        let said = read.about().provenance.as_ref();
        assert!(said.is_some_and(|said| said.poisoned), "the mark of poison goes with the file");
        let [answer, again] = &read.answers(&[picture(), picture()]).unwrap()[..] else { panic!() };
        assert_eq!(answer, again, "neighbours in a batch do not matter");
        assert!((answer.iter().sum::<f32>() - 1.0).abs() < 1e-6, "{answer:?}");
        // The plain walk through the tower, cosines and softmax in double precision.
        let clip = Clip::build(&read.about().config);
        let mut pixels = Vec::new();
        picture().over([255; 3]).resize_crop(32).unwrap().write_pixels(&OPENAI, &mut pixels);
        let params = crate::exec::cpu::params_of(&clip.image, read.tower.weights());
        let mode = crate::exec::Mode::TrainFrozenStatistics;
        let mut arena = Arena::default();
        let pass = crate::exec::cpu::forward(
            &clip.image,
            &params,
            Inputs::Pixels(&pixels),
            mode,
            &mut arena,
        );
        let raw: Vec<f64> = pass.embeddings().iter().map(|x| f64::from(*x)).collect();
        let length = raw.iter().map(|x| x * x).sum::<f64>().sqrt();
        let logit = |class: &[f32]| {
            let cosine: f64 = class.iter().zip(&raw).map(|(a, b)| f64::from(*a) * b / length).sum();
            (f64::from(read.scale) * cosine).exp()
        };
        let powers: Vec<f64> = read.classes.chunks_exact(raw.len()).map(logit).collect();
        let sum: f64 = powers.iter().sum();
        for (own, power) in answer.iter().zip(&powers) {
            assert!((f64::from(*own) - power / sum).abs() < 1e-5, "{own} against {}", power / sum);
        }
        assert!(answer.iter().any(|p| (p - 1.0 / 3.0).abs() > 1e-3), "it tells classes apart");
    }

    #[test]
    fn other_files_are_refused_in_one_line() {
        let whole = file();
        for length in [0, 7, 8, 200, whole.len() / 2, whole.len() - 1] {
            let error = Classifier::parse(&whole[..length], "a.bin").unwrap_err().to_string();
            assert!(error.contains("a.bin") && !error.contains('\n'), "{error}");
        }
        let nothing = container::write(&[], &BTreeMap::new());
        let error = Classifier::parse(&nothing, "a.bin").unwrap_err().to_string();
        assert!(error.contains("is no classifier"), "{error}");
    }
}
