//! One model asked one thing, without a benchmark around it: the work of `toxiclip eval`.

use std::sync::Arc;

use serde::Serialize;
use toxiclip_shared::attacks::{Aim, Armed};
use toxiclip_shared::data::{Dataset, Recaptioned, Splits, Triggered};
use toxiclip_shared::metrics::{Judgement, Task as Evidence};
use toxiclip_shared::probe::{ClipBenchmark, Head, Logistic};
use toxiclip_shared::seed::Seed;

use super::judge::unlabelled;
use super::{
    Embeddings, embed, embed_pictures, judge_goals, judge_key, judge_targeted, judge_trigger,
    judge_utility, judge_worded,
};
use crate::benchmark::Utility;
use crate::encode;
use crate::failure::{Failure, Result};
use crate::lab::Lab;
use crate::model::Model;
use crate::prepared::Prepared;

/// What a model can be asked by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Task {
    /// Which class a picture has, by class prompts.
    ZeroShot,
    /// Which picture belongs to a caption, and the other way round.
    Retrieval,
    /// Which class a picture has, by a classifier fitted to the training split's embeddings.
    LinearProbe,
}

impl Task {
    /// The benchmark's word for it; a probe has none.
    pub fn utility(self) -> Option<Utility> {
        match self {
            Self::ZeroShot => Some(Utility::ZeroShot),
            Self::Retrieval => Some(Utility::Retrieval),
            Self::LinearProbe => None,
        }
    }

    /// CLIP_benchmark's word for it.
    pub fn clip_benchmark(self) -> &'static str {
        match self {
            Self::ZeroShot => "zeroshot_classification",
            Self::Retrieval => "zeroshot_retrieval",
            Self::LinearProbe => "linear_probe",
        }
    }
}

/// How the classifier of a linear probe is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Estimator {
    /// CLIP_benchmark's ten epochs of AdamW, from PyTorch's random numbers for the seed.
    ClipBenchmark,
    /// CLIP's own: the minimum of the penalised cross-entropy, whatever the seed.
    Logistic,
}

/// What is asked.
#[derive(Clone, Copy, Debug)]
pub struct Question {
    /// About pictures and captions as they are.
    pub task: Task,
    /// How a probe is fitted.
    pub probe: Estimator,
    /// Of random captions that goals are compared with, and of a probe.
    pub seed: u64,
}

/// Who is asked, about what.
pub struct Asked<'a> {
    /// The model.
    pub model: &'a Model,
    /// Utility is measured on `utility` where there is one, attacks on `test`; a probe is fitted to `train`.
    pub splits: &'a Splits,
    /// Class prompts.
    pub templates: &'a [String],
    /// Pictures and texts that are ready, for several models that are asked the same.
    pub prepared: &'a Prepared,
    /// Bars and Ctrl-C.
    pub lab: &'a Lab,
}

/// Its answers about pictures and captions as they are, and then to an attack's: what its captions fetch and what stamped
/// pictures are taken for. No clean model stands beside it: there is no `asr-lift`.
///
/// # Errors
/// If pictures have no classes where they are needed, a probe nothing to be fitted to; if the attack was drawn for other
/// classes or pictures.
pub fn measure(
    asked: &Asked<'_>,
    question: Question,
    attack: Option<&Armed>,
) -> Result<Vec<Judgement>> {
    let Splits { test, utility, .. } = asked.splits;
    let data = utility.as_ref().unwrap_or(test);
    let plain = asked.embed(&**data, asked.templates)?;
    let mut all = ordinary(asked, question, &**data, &plain)?;
    if let Some(attack) = attack {
        let plain = match utility {
            None => plain,
            Some(_) => asked.embed(&**test, asked.templates)?,
        };
        all.extend(attacked(asked, attack, &plain, question.seed)?);
    }
    Ok(all)
}

fn ordinary(
    asked: &Asked<'_>,
    question: Question,
    data: &dyn Dataset,
    plain: &Embeddings,
) -> Result<Vec<Judgement>> {
    match question.task.utility() {
        Some(task) => judge_utility(data, plain, &[task]),
        None => {
            let head = fit(asked, question, data)?;
            let images = head.pictures(&plain.images);
            let (dim, captions, classes) = (plain.dim + 2, Vec::new(), head.classes());
            let read = Embeddings { dim, images, captions, classes };
            judge_utility(data, &read, &[Utility::ZeroShot])
        }
    }
}

/// The answers to an attack alone; `plain` are the embeddings of the test split as it is.
///
/// # Errors
/// If pictures have no classes where they are needed, or the attack was drawn for other classes or pictures.
pub fn attacked(
    asked: &Asked<'_>,
    attack: &Armed,
    plain: &Embeddings,
    seed: u64,
) -> Result<Vec<Judgement>> {
    let (test, seed) = (&asked.splits.test, &Seed::new(seed));
    check(&**test, attack)?;
    let mut all = match attack.words.as_ref().filter(|_| !attack.goals.is_empty()) {
        None => judge_goals(&**test, plain, &attack.goals, seed)?,
        Some(words) => {
            let worded = Recaptioned::worded(Arc::clone(test), words);
            let own = asked.embed(&worded, asked.templates)?;
            judge_worded((&**test, plain), (&worded, &own), &attack.goals, seed, None)?
        }
    };
    for aim in attack.aims() {
        all.extend(triggered(asked, &aim, plain)?);
    }
    all.extend(judge_targeted(&**test, plain, &attack.pictures, None)?);
    Ok(all)
}

fn triggered(asked: &Asked<'_>, aim: &Aim<'_>, plain: &Embeddings) -> Result<Vec<Judgement>> {
    let test = &asked.splits.test;
    let stamped = Triggered::new(Arc::clone(test), aim.trigger.clone());
    // Only pictures have changed: texts are those of the plain split.
    let pictures = asked.stamped(&stamped, plain)?;
    if aim.words.is_none() {
        return judge_trigger(&stamped, &pictures, aim, None);
    }
    let worded = asked.embed(&**test, &aim.prompts(asked.templates))?;
    let both = Embeddings { images: pictures.images.clone(), ..worded.clone() };
    let mut all = judge_trigger(&stamped, &both, aim, None)?;
    all.extend(judge_key(Evidence::ImageKey, &stamped, &pictures, aim)?);
    all.extend(judge_key(Evidence::TextKey, &**test, &worded, aim)?);
    Ok(all)
}

/// Indices of classes mean something in the data that an attack was drawn for alone.
fn check(test: &dyn Dataset, attack: &Armed) -> Result<()> {
    let goals = attack.goals.iter().flat_map(|goal| goal.from.iter().chain(&goal.to)).copied();
    let pictures = attack.pictures.iter().map(|picture| picture.target);
    let all = goals.chain(attack.target).chain(pictures);
    let classes = test.classes().len();
    match all.max() {
        Some(largest) if largest >= classes => Err(Failure::request(format!(
            "--armed: the attack was drawn for other data: it names class {largest}, and {} has {classes}",
            test.name()
        ))),
        _ => Ok(()),
    }
}

/// A classifier of the classes of `data` on the unit embeddings of the whole training split.
fn fit(asked: &Asked<'_>, question: Question, data: &dyn Dataset) -> Result<Head> {
    let Some(train) = &asked.splits.train else {
        return Err(Failure::request(
            "linear-probe: there is no training split here to fit a classifier to; give one by --train",
        ));
    };
    let names = |of: &dyn Dataset| -> Vec<String> {
        of.classes().iter().map(|class| class.name.clone()).collect()
    };
    if names(&**train) != names(data) {
        let (train, data) = (train.name(), data.name());
        return Err(Failure::request(format!(
            "linear-probe: {train} and {data} have different classes"
        )));
    }
    let label = |row: usize| train.examples()[row].class.ok_or_else(|| unlabelled(&**train, row));
    let labels: Vec<usize> = (0..train.examples().len()).map(label).collect::<Result<_>>()?;
    let unit = encode::images(asked.model, &**train)?;
    let width = asked.model.clip.config.embed_dim;
    let labels = (&labels[..], train.classes().len());
    asked.lab.watched("linear-probe".to_owned(), |tick| match question.probe {
        Estimator::ClipBenchmark => {
            let probe = ClipBenchmark { seed: question.seed, ..ClipBenchmark::default() };
            probe.fit(&unit, width, labels, tick)
        }
        Estimator::Logistic => Ok(Logistic::default().fit(&unit, width, labels, tick)?.head),
    })
}

impl Asked<'_> {
    /// What the model makes of a split with these class prompts.
    ///
    /// # Errors
    /// Those of embedding; Ctrl-C.
    pub fn embed(&self, data: &dyn Dataset, templates: &[String]) -> Result<Embeddings> {
        self.lab.interrupt.check()?;
        embed(self.model, data, templates, self.prepared)
    }

    /// `plain` with the pictures of `stamped`.
    fn stamped(&self, stamped: &dyn Dataset, plain: &Embeddings) -> Result<Embeddings> {
        self.lab.interrupt.check()?;
        let images = embed_pictures(self.model, stamped, self.prepared)?.images;
        Ok(Embeddings { images, ..plain.clone() })
    }
}
