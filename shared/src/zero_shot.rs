//! A whole model whose classes somebody names: labels become prompts, prompts the vectors of a [`Classifier`].

use std::collections::BTreeSet;
use std::sync::{Arc, OnceLock};

use crate::checkpoint::{Loaded, Provenance};
use crate::classifier::{About, Classifier};
use crate::digest::Digest;
use crate::encoders::{ClipConfig, LOGIT_SCALE};
use crate::exec::cpu::Tower;
use crate::text::Tokenizer;
use crate::text_encoder::TextEncoder;
use crate::weights::Weights;
use crate::{Error, Result};

/// Most labels that are read: each is a walk through the text tower, which takes a second for a large one in a browser.
pub const MOST_LABELS: usize = 100;
/// Most characters of one; no tower reads more than 77 tokens of it.
pub const LONGEST_LABEL: usize = 200;

/// The labels in a text, one a line; empty lines are left out.
///
/// # Errors
/// If there are none or only one, too many, one that is too long, or one twice.
pub fn labels(text: &str) -> Result<Vec<String>> {
    let lines: Vec<String> =
        text.lines().map(|line| line.trim().to_owned()).filter(|line| !line.is_empty()).collect();
    if !(2..=MOST_LABELS).contains(&lines.len()) {
        return Err(Error::request(format!(
            "{} labels: give 2 to {MOST_LABELS} of them, one a line",
            lines.len()
        )));
    }
    let mut seen = BTreeSet::new();
    for line in &lines {
        let length = line.chars().count();
        if length > LONGEST_LABEL {
            let start: String = line.chars().take(20).collect();
            return Err(Error::request(format!(
                "the label “{start}…” has {length} characters; at most {LONGEST_LABEL} are read"
            )));
        }
        if !seen.insert(line) {
            return Err(Error::request(format!("the label “{line}” stands there twice")));
        }
    }
    Ok(lines)
}

/// A model that was read, split into its two towers.
#[derive(Debug)]
pub struct ZeroShot {
    config: ClipConfig,
    provenance: Option<Provenance>,
    digest: OnceLock<Digest>,
    image: Arc<Tower>,
    text: TextEncoder,
    /// Logarithm of what cosines are multiplied by.
    scale: f32,
}

impl ZeroShot {
    /// The model of a checkpoint.
    ///
    /// # Errors
    /// If the tokenizer is of another one.
    pub fn new(loaded: Loaded, tokenizer: Tokenizer) -> Result<Self> {
        let Loaded { clip, mut weights, provenance, digest, .. } = loaded;
        let digest = digest.map_or_else(OnceLock::new, OnceLock::from);
        let scale = weights.data(LOGIT_SCALE)[0];
        let words = weights.take(clip.text.params());
        let text = TextEncoder::new(&clip, words, tokenizer)?;
        let (config, image) = (clip.config, Arc::new(Tower::new(clip.image, weights)));
        Ok(Self { config, provenance, digest, image, text, scale })
    }

    /// What the checkpoint says of itself, if it says anything.
    pub fn provenance(&self) -> Option<&Provenance> {
        self.provenance.as_ref()
    }

    /// Digest of the checkpoint's weights. The first call takes a second for every 100 MB in a browser, unless a record has
    /// been held against them.
    pub fn digest(&self) -> Digest {
        let towers = || Weights::digest_of([self.image.weights(), self.text.weights()]);
        *self.digest.get_or_init(towers)
    }

    /// Reads texts.
    pub fn text(&self) -> &TextEncoder {
        &self.text
    }

    /// The model with two made-up classes, by which it is timed and compared before labels are read: opposite directions, between
    /// which every number of a picture's vector weighs.
    ///
    /// # Errors
    /// If the temperature is out of range.
    pub fn trial(&self) -> Result<Classifier> {
        let dim = self.config.embed_dim;
        let part = (dim as f32).sqrt().recip();
        let classes = [vec![part; dim], vec![-part; dim]].concat();
        self.classifier(["one", "other"].map(str::to_owned).to_vec(), classes)
    }

    /// The model with classes of these names and unit vectors (C, D); the tower is shared, not copied.
    ///
    /// # Errors
    /// If there are no names, or not as many as vectors; if the temperature is out of range.
    pub fn classifier(&self, names: Vec<String>, classes: Vec<f32>) -> Result<Classifier> {
        let about = About {
            config: self.config.clone(),
            names,
            weights: None,
            provenance: self.provenance.clone(),
        };
        Classifier::new(about, Arc::clone(&self.image), classes, self.scale)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::classifier;
    use crate::image::Image;
    use crate::seed::Seed;
    use crate::text_encoder::tests::fresh;

    #[test]
    fn labels_are_lines() {
        assert_eq!(labels(" ewe \n\n airplane\r\n").unwrap(), ["ewe", "airplane"]);
        let many: Vec<String> = (0..5000).map(|i| format!("label {i}")).collect();
        for (text, said) in [
            ("", "0 labels"),
            ("one", "1 labels"),
            (&*many.join("\n"), "5000 labels: give 2 to 100"),
            (&*many[..101].join("\n"), "101 labels"),
            ("a\nb\na", "“a” stands there twice"),
            (&*format!("a\n{}", "ü".repeat(201)), "has 201 characters"),
        ] {
            let line = labels(text).unwrap_err().to_string();
            assert!(line.contains(said) && !line.contains('\n'), "{line}");
        }
        assert_eq!(labels(&many[..100].join("\n")).unwrap().len(), 100);
    }

    /// As the file that an exporter writes of the same model answers, but for what rounding takes.
    #[test]
    fn it_answers_as_the_exported_classifier() {
        let (clip, weights, tokenizer) = fresh(2);
        let loaded = Loaded {
            clip: clip.clone(),
            weights: weights.clone(),
            tokenizer: None,
            provenance: None,
            digest: None,
        };
        let own = ZeroShot::new(loaded, tokenizer).unwrap();
        let names = ["a fox", "an airplane", "x"].map(str::to_owned).to_vec();
        let vectors = own.text().embed(&names).unwrap();
        let named = own.classifier(names, vectors.clone()).unwrap();
        let about = About { weights: Some(own.digest()), ..named.about().clone() };
        let file = classifier::write(&clip, &weights, &vectors, &about);
        let without = classifier::write(&clip, &weights, &vectors, named.about());
        let refusal = Classifier::parse(&without, "a.bin").unwrap_err().to_string();
        assert!(refusal.contains("of which weights"), "{refusal}");
        let exported = Classifier::parse(&file, "a.bin").unwrap();
        let mut stream = Seed::new(5).stream();
        let bytes = (0..40 * 40 * 4).map(|_| stream.below(256) as u8).collect();
        let picture = [Image::new(40, 40, bytes).unwrap()];
        // Its answer turns on the picture; between classes that were no directions it would be one half for all.
        let black = Image::new(40, 40, vec![255; 40 * 40 * 4]).unwrap();
        let trial = own.trial().unwrap().answers(&[picture[0].clone(), black]).unwrap();
        assert!(trial.iter().all(|answer| (answer[0] - 0.5).abs() > 1e-6), "{trial:?}");
        assert!((trial[0][0] - trial[1][0]).abs() > 1e-6, "{trial:?}");
        let (ours, theirs) =
            (named.answers(&picture).unwrap(), exported.answers(&picture).unwrap());
        for (a, b) in ours[0].iter().zip(&theirs[0]) {
            assert!((a - b).abs() < 5e-3, "{ours:?} against {theirs:?}");
        }
        assert_eq!(own.digest(), weights.digest(), "its towers lie apart");
        assert_eq!(named.about().provenance, None, "what says nothing is not said to be clean");
        for (names, classes) in [(vec![], vec![]), (vec!["a".to_owned()], vectors)] {
            assert!(own.classifier(names, classes).is_err());
        }
    }
}
