//! Classifiers of a defender's own as cached stages, and what a model then says in place of zero-shot.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::json;
use toxiclip_shared::checkpoint::container::{self, Blob, Dtype};
use toxiclip_shared::data::{Dataset, Subset};
use toxiclip_shared::digest::Digest;
use toxiclip_shared::probe::{Head, Probe};
use toxiclip_shared::seed::Seed;

use super::Plan;
use super::origin::Origin;
use super::stages::Stages;
use crate::benchmark::Cell;
use crate::encode;
use crate::evaluate::Embeddings;
use crate::failure::{Failure, Result};
use crate::store::{read_json, write_atomic};
use crate::timer::Timer;

/// Raised when the same pictures give another classifier.
pub(super) const VERSION: u32 = 1;
const HEAD: &str = "head.safetensors";
const FILE: &str = "probe.json";

/// A classifier and what it took.
pub(super) struct Fitted {
    head: Head,
    /// Wall seconds when it was fitted.
    pub(super) seconds: f64,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Record {
    seconds: f64,
    /// The objective before every iteration, and at the end.
    losses: Vec<f64>,
}

/// The classifier of a cell's probe: found in the cache, or fitted now.
///
/// # Errors
/// Those of embedding, of fitting and of the cache.
pub(super) fn run(
    probe: &dyn Probe,
    plan: &Plan<'_>,
    cell: &Cell,
    model: &Origin,
    stages: &Stages,
) -> Result<Fitted> {
    let clean = &plan.attack(cell).clean;
    let held =
        Subset::new(Arc::clone(clean), "held", probe.rows(&**clean, &Seed::new(cell.seed))?)?;
    let choice = &plan.benchmark.defenses[cell.defense];
    let key = Digest::of(&json!({
        "model": model.key(),
        "pictures": held.digest(),
        "probe": choice.spec(),
    }));
    let work = |dir: &Path| fit(probe, choice.name(), model, &held, dir, stages);
    read(&stages.store.stage("probe", key, VERSION, work)?)
}

fn fit(
    probe: &dyn Probe,
    name: &str,
    model: &Origin,
    held: &dyn Dataset,
    dir: &Path,
    stages: &Stages,
) -> Result<()> {
    let timer = Timer::start();
    let model = model.open(stages, held, 0)?;
    let unit = encode::images(&model, held)?;
    let labels: Vec<usize> = held.examples().iter().filter_map(|e| e.class).collect();
    let (width, classes) = (model.clip.config.embed_dim, held.classes().len());
    let fitted = stages.lab.watched(format!("probe {name}"), |tick| {
        probe.logistic().fit(&unit, width, (&labels, classes), tick)
    })?;
    let blob = Blob {
        name: "head".into(),
        dtype: Dtype::F32,
        shape: vec![classes, width + 1],
        bytes: fitted.head.rows.iter().flat_map(|x| x.to_le_bytes()).collect(),
    };
    write_atomic(&dir.join(HEAD), &container::write(&[blob], &BTreeMap::new()))?;
    let record = Record { seconds: timer.seconds(), losses: fitted.losses };
    write_atomic(&dir.join(FILE), json!(record).to_string().as_bytes())
}

fn read(dir: &Path) -> Result<Fitted> {
    let damaged = |path: &Path, why: &dyn std::fmt::Display| {
        Failure::failed(format!("{}: {why}; delete its folder", path.display()))
    };
    let record: Record = read_json(&dir.join(FILE))?;
    let path = dir.join(HEAD);
    let bytes = std::fs::read(&path).map_err(|e| Failure::io(&path, &e))?;
    let file = container::parse(&bytes).map_err(|e| damaged(&path, &e))?;
    let Some(head) = file.tensors.get("head").filter(|t| t.shape.len() == 2) else {
        return Err(damaged(&path, &"no tensor `head`"));
    };
    let values = head.bytes.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]));
    let head = Head { width: head.shape[1] - 1, rows: values.collect() };
    Ok(Fitted { head, seconds: record.seconds })
}

impl Fitted {
    /// Embeddings of a split with the classifier in place of class prompts, and without captions.
    pub(super) fn read(&self, of: &Embeddings) -> Embeddings {
        Embeddings {
            dim: of.dim + 2,
            images: self.head.pictures(&of.images),
            captions: Vec::new(),
            classes: self.head.classes(),
        }
    }
}
