//! What a training runs on: a data set, or what a filter leaves of one. A filter looks through a reference encoder,
//! which is trained first, so that what it leaves is known only when the line runs; its name is known before.

use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use serde_json::{Value, json};
use toxiclip_shared::checkpoint::Provenance;
use toxiclip_shared::data::{Dataset, Recaptioned, Subset, class_words};
use toxiclip_shared::defenses::{Filter, Reference, Sight, Vectors};
use toxiclip_shared::digest::Digest;
use toxiclip_shared::encoders::library;
use toxiclip_shared::seed::Seed;

use super::fit::Fit;
use super::origin::Origin;
use super::stages::Stages;
use crate::benchmark::Encoder;
use crate::data;
use crate::evaluate::{self, Embeddings};
use crate::failure::{Failure, Result};
use crate::store::{read_json, write_atomic};

/// The pairs of a training.
#[derive(Clone)]
pub enum Pairs {
    /// A data set as it is.
    Whole(Arc<dyn Dataset>),
    /// What a filter leaves.
    Screened(Arc<Screening>),
    /// What it sets apart.
    Apart(Arc<Screening>),
    /// The same, captions cut down.
    Words(Arc<Screening>, Arc<Hinges>),
}

/// Which words of captions stay.
pub struct Hinges {
    /// By whose similarity.
    pub model: Origin,
    /// How many of a caption.
    pub words: usize,
}

/// A filter in front of a data set.
pub struct Screening {
    /// What is offered, poison included.
    pub offered: Arc<dyn Dataset>,
    /// The pairs that the defender has checked; `None` where the cut needs none.
    pub trusted: Option<Arc<dyn Dataset>>,
    /// The first of several looks, whose scores a later one is cut by.
    pub first: Option<Arc<Screening>>,
    /// The encoder that looks.
    pub reference: Origin,
    /// What decides.
    pub filter: Box<dyn Filter>,
    /// Its name and parameters.
    pub spec: Value,
    /// Seed of the line, for filters that draw.
    pub seed: u64,
    /// What it found, once it has looked.
    pub found: OnceLock<Arc<Screened>>,
    /// Its name, once it was asked: a line of many looks asks every look before it.
    pub named: OnceLock<Digest>,
}

/// What a filter found. It never sees which rows are poisoned.
pub struct Screened {
    /// Score of every offered row: higher is more suspicious.
    pub scores: Vec<f32>,
    /// The largest score that stays.
    pub cut: f32,
}

impl Pairs {
    /// Names the pairs by how they come about.
    pub fn key(&self) -> Digest {
        match self {
            Self::Whole(data) => data.digest(),
            Self::Screened(screening) => screening.key(),
            Self::Apart(screening) => Digest::of(&("apart", screening.key())),
            Self::Words(screening, hinges) => {
                Digest::of(&("words", screening.key(), hinges.model.key(), hinges.words))
            }
        }
    }

    /// The pairs before any filter.
    pub fn offered(&self) -> &Arc<dyn Dataset> {
        match self {
            Self::Whole(data) => data,
            Self::Screened(screening) | Self::Apart(screening) | Self::Words(screening, _) => {
                &screening.offered
            }
        }
    }

    /// The pairs; runs the filter if there is one.
    ///
    /// # Errors
    /// Those of the reference's training, or if nothing is left.
    pub fn open(&self, stages: &Stages) -> Result<Arc<dyn Dataset>> {
        match self {
            Self::Whole(data) => Ok(Arc::clone(data)),
            Self::Screened(screening) => screening.open(stages, "filtered", false),
            Self::Apart(screening) => screening.open(stages, "apart", true),
            Self::Words(screening, hinges) => {
                let Hinges { model, words } = &**hinges;
                let apart = screening.open(stages, "apart", true)?;
                let model = model.open(stages, &*apart, screening.seed)?;
                let captions = evaluate::hinges(&model, &*apart, *words)?;
                Ok(Arc::new(Recaptioned::new(apart, "words", captions)?))
            }
        }
    }

    /// The encoder that must be trained before the pairs are known.
    pub fn reference(&self) -> Option<&Origin> {
        match self {
            Self::Whole(_) => None,
            Self::Screened(screening) | Self::Apart(screening) | Self::Words(screening, _) => {
                Some(&screening.reference)
            }
        }
    }
}

impl Screening {
    /// A filter that has not looked yet, in front of `offered`; the pairs that the defender has checked are of `clean`.
    ///
    /// # Errors
    /// If it wants more checked pairs than there are.
    pub fn new(
        filter: Box<dyn Filter>,
        [offered, clean]: [&Arc<dyn Dataset>; 2],
        reference: Origin,
        spec: &Value,
        seed: u64,
    ) -> Result<Self> {
        let rows = filter.trusted(&**clean, &Seed::new(seed))?;
        let trusted: Option<Arc<dyn Dataset>> = match rows.is_empty() {
            true => None,
            false => Some(Arc::new(Subset::new(Arc::clone(clean), "checked", rows)?)),
        };
        let (offered, spec) = (Arc::clone(offered), spec.clone());
        let (first, found, named) = Default::default();
        Ok(Self { offered, trusted, first, reference, filter, spec, seed, found, named })
    }

    fn key(&self) -> Digest {
        *self.named.get_or_init(|| self.name())
    }

    fn name(&self) -> Digest {
        let mut key = json!({
            "offered": self.offered.digest(),
            "trusted": self.trusted.as_ref().map(|t| t.digest()),
            "reference": self.reference.key(),
            "filter": self.spec,
        });
        if let Some(first) = &self.first {
            key["first"] = json!(first.key());
        }
        if self.filter.draws() {
            key["seed"] = json!(self.seed);
        }
        Digest::of(&key)
    }

    /// Scores of all offered rows and where the cut falls; looked for once.
    ///
    /// # Errors
    /// Those of the reference's training, if scores tell nothing, or if nothing would be left.
    pub fn screen(&self, stages: &Stages) -> Result<Arc<Screened>> {
        if let Some(found) = self.found.get() {
            return Ok(Arc::clone(found));
        }
        let scores = self.look(stages, &self.offered)?;
        let known = match (&self.first, &self.trusted) {
            (Some(first), _) => first.screen(stages)?.scores.clone(),
            (None, Some(trusted)) => self.look(stages, trusted)?,
            (None, None) => Vec::new(),
        };
        let cut = self.filter.cut(&scores, &known)?;
        Ok(Arc::clone(self.found.get_or_init(|| Arc::new(Screened { scores, cut }))))
    }

    fn look(&self, stages: &Stages, data: &Arc<dyn Dataset>) -> Result<Vec<f32>> {
        // A filter passes on that looking failed; why, and whether everything stops, is kept here.
        let failed = RefCell::new(None);
        let keep = |failure: Failure| {
            let error = toxiclip_shared::Error::request(&failure);
            failed.replace(Some(failure));
            error
        };
        let sight = Sight {
            distances: &|| distances(&self.reference, stages, &**data).map_err(keep),
            pictures: &|| places(&self.reference, stages, &**data).map_err(keep),
            losses: &|| losses(&self.reference, stages, &**data, self.seed).map_err(keep),
            words: &|| class_words(&**data),
            first: &|| match &self.first {
                Some(first) => Ok(first.screen(stages).map_err(keep)?.scores.clone()),
                None => Ok(Vec::new()),
            },
        };
        let scores = self.filter.scores(&sight, &Seed::new(self.seed));
        scores.map_err(|e| failed.take().unwrap_or_else(|| e.into()))
    }

    /// The rows that go, or those that stay.
    fn open(&self, stages: &Stages, label: &str, dropped: bool) -> Result<Arc<dyn Dataset>> {
        let screened = self.screen(stages)?;
        let rows = (0..screened.scores.len()).filter(|&row| screened.drops(row) == dropped);
        Ok(Arc::new(Subset::new(Arc::clone(&self.offered), label, rows.collect())?))
    }
}

impl Screened {
    /// Whether the row goes.
    pub fn drops(&self, row: usize) -> bool {
        self.scores[row] > self.cut
    }
}

/// The encoder that looks: the undefended victim, one trained from scratch on data that the victim does not see, or a
/// finished one.
///
/// # Errors
/// If its data, architecture or checkpoint do not exist.
pub fn reference(
    filter: &dyn Filter,
    undefended: impl FnOnce() -> Result<Origin>,
    victim: &Encoder,
    data_root: Option<&Path>,
) -> Result<Origin> {
    let (data, encoder, recipe, seed) = match filter.reference()? {
        Reference::Victim => return undefended(),
        Reference::Checkpoint(dir) => {
            let dir = find_checkpoint("reference-checkpoint", Path::new(&dir), data_root)?;
            return Origin::read(&dir, None);
        }
        Reference::Train { data, encoder, recipe, seed } => (data, encoder, recipe, seed),
    };
    let (name, config) = match encoder {
        None => (victim.name.clone(), victim.config.clone()),
        Some(name) => (name.clone(), library::find(&name)?),
    };
    let data = data::holdings(&data)?;
    let provenance = Provenance {
        encoder: name,
        data: json!({ "name": data.name(), "digest": data.digest() }),
        recipe: json!({ "train": recipe, "seed": seed }),
        ..Provenance::default()
    };
    let start = Origin::Scratch(config);
    let fit = Fit::new("reference", start, Pairs::Whole(data), recipe, seed, provenance)?;
    Ok(Origin::Fit(Arc::new(fit)))
}

/// The folder itself, or the one of its name below the data root.
///
/// # Errors
/// If there is neither; `key` says who asks.
pub(super) fn find_checkpoint(key: &str, dir: &Path, root: Option<&Path>) -> Result<PathBuf> {
    let below = root.zip(dir.file_name()).map(|(root, name)| root.join(name));
    let found = [Some(dir.to_owned()), below].into_iter().flatten().find(|d| d.is_dir());
    found.ok_or_else(|| {
        let name = dir.file_name().unwrap_or_default().to_string_lossy();
        Failure::request(format!(
            "{key}: there is no folder {}, nor {name} below --data-root; put an open_clip or transformers checkpoint there",
            dir.display()
        ))
    })
}

/// Distances of a set's rows under a model, cached beside the trainings.
fn distances(model: &Origin, stages: &Stages, data: &dyn Dataset) -> Result<Vec<f32>> {
    const FILE: &str = "distances.json";
    let key = Digest::of(&(model.key(), data.digest()));
    let dir = stages.store.stage("distances", key, evaluate::VERSION, |dir| {
        let model = model.open(stages, data, 0)?;
        let all = evaluate::distances(&model, data)?;
        write_atomic(&dir.join(FILE), json!(all).to_string().as_bytes())
    })?;
    read_json(&dir.join(FILE))
}

/// Losses of a set's rows under a model, cached beside the trainings.
fn losses(model: &Origin, stages: &Stages, data: &dyn Dataset, seed: u64) -> Result<Vec<f32>> {
    const FILE: &str = "losses.json";
    let key = Digest::of(&(model.key(), data.digest(), seed));
    let dir = stages.store.stage("losses", key, evaluate::VERSION, |dir| {
        let model = model.open(stages, data, 0)?;
        let all = evaluate::losses(&model, data, &Seed::new(seed))?;
        write_atomic(&dir.join(FILE), json!(all).to_string().as_bytes())
    })?;
    read_json(&dir.join(FILE))
}

/// Where a set's pictures lie under a model, cached beside the trainings.
fn places(model: &Origin, stages: &Stages, data: &dyn Dataset) -> Result<Vectors> {
    const FILE: &str = "places.safetensors";
    let key = Digest::of(&(model.key(), data.digest()));
    let dir = stages.store.stage("places", key, evaluate::VERSION, |dir| {
        let model = model.open(stages, data, 0)?;
        let Vectors { dim, values } = evaluate::places(&model, data)?;
        let (captions, classes) = (Vec::new(), Vec::new());
        Embeddings { dim, images: values, captions, classes }.write(&dir.join(FILE))
    })?;
    let Embeddings { dim, images, .. } = Embeddings::read(&dir.join(FILE))?;
    Ok(Vectors { dim, values: images })
}
