//! A data set of the matrix: what is trained on, what is measured on, and what can be asked of it.

use std::path::Path;
use std::sync::Arc;

use toxiclip_shared::data::{Dataset, Subset};
use toxiclip_shared::seed::Seed;

use crate::benchmark::{Benchmark, Init, Split, StartOf, Utility};
use crate::data;
use crate::failure::{Failure, Result};

/// A data set of the matrix.
pub struct Set {
    /// What the victim trains on before poisoning; also what a defender trusts.
    pub train: Arc<dyn Dataset>,
    /// What attacks are measured on.
    pub test: Arc<dyn Dataset>,
    /// What utility is measured on; the same but for sets whose paper has another.
    pub utility: Arc<dyn Dataset>,
    /// Zero-shot prompts.
    pub templates: Vec<String>,
    /// Those of the benchmark's tasks that can be asked of it.
    pub tasks: Vec<Utility>,
}

impl Set {
    /// The training pairs of a victim that has only some of them.
    pub(super) fn part(&self, share: f64, seed: u64) -> Result<Arc<dyn Dataset>> {
        if share >= 1.0 {
            return Ok(Arc::clone(&self.train));
        }
        let all = self.train.examples().len();
        let wanted = (share * all as f64).round() as usize;
        let mut rows = Seed::new(seed).child("victim/share").stream().sample(all, wanted);
        rows.sort_unstable();
        Ok(Arc::new(Subset::new(Arc::clone(&self.train), &format!("share {share}"), rows)?))
    }
}

/// Opens a data set of the matrix for what the benchmark asks of it.
///
/// # Errors
/// If it is not there, or lacks a split or a task that is asked for.
pub(super) fn open(benchmark: &Benchmark, name: &str, root: Option<&Path>) -> Result<Set> {
    let splits = data::named(name, root)?;
    let own_init = matches!(benchmark.init, Init::Pretrain { data: None, .. });
    let trains = own_init || benchmark.victims.iter().any(|v| v.start != StartOf::AsIs);
    let train = match splits.train {
        Some(train) => train,
        // Nobody trains: the pictures stand for themselves.
        None if !trains => Arc::clone(&splits.test),
        None => return Err(no_training(name)),
    };
    let own = benchmark.eval.templates.clone();
    let templates = if own.is_empty() { data::templates(name)? } else { own };
    let (test, utility) = match benchmark.eval.split {
        Split::Test => (splits.test, splits.utility),
        Split::Val => {
            let why = format!("dataset {name} has no validation split; measure on `test`");
            (splits.val.ok_or_else(|| Failure::request(why))?, None)
        }
    };
    let utility = utility.unwrap_or_else(|| Arc::clone(&test));
    let tasks = benchmark.eval.tasks.iter().copied().filter(|task| data::answers(name, *task));
    let tasks: Vec<Utility> = tasks.collect();
    if tasks.is_empty() && !benchmark.eval.tasks.is_empty() {
        let why =
            format!("dataset {name} answers none of `tasks`; see `toxiclip show dataset {name}`");
        return Err(Failure::request(why));
    }
    Ok(Set { train, test, utility, templates, tasks })
}

/// The training split of a data set.
///
/// # Errors
/// If it has none.
pub(super) fn training(name: &str, root: Option<&Path>) -> Result<Arc<dyn Dataset>> {
    data::named(name, root)?.train.ok_or_else(|| no_training(name))
}

fn no_training(name: &str) -> Failure {
    Failure::request(format!("dataset {name} has no training split; it is for evaluation"))
}
