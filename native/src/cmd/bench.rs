//! `toxiclip bench`: how fast one thing runs here.

use rayon::prelude::*;
use toxiclip_shared::data::emoji;
use toxiclip_shared::encoders::Clip;
use toxiclip_shared::exec::Inputs;
use toxiclip_shared::exec::cpu::{Arena, Frozen, peak};
use toxiclip_shared::graph::ParamSpec;
use toxiclip_shared::recipe::TrainConfig;
use toxiclip_shared::seed::Seed;
use toxiclip_shared::weights::Weights;

use crate::argument::{Place, Source};
use crate::cli::Context;
use crate::data;
use crate::failure::{Failure, Result};
use crate::machine;
use crate::model::Model;
use crate::prepared::picture;
use crate::timer::Timer;
use crate::train::{Ahead, Batch, Batches, Trainer};

/// Times training steps, embedding, or training with its data; compare only runs that alternate on a quiet machine.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// What to time.
    pub what: What,
    /// A registered encoder, or a JSON file in open_clip's form [default: the small CLIP of benchmarks/perf].
    #[arg(long, value_name = "NAME|FILE.json")]
    pub encoder: Option<String>,
    /// Items an iteration.
    #[arg(long, value_name = "N", default_value_t = 128)]
    pub batch: usize,
    /// Timed iterations, after three that are not.
    #[arg(long, value_name = "N", default_value_t = 10)]
    pub iters: usize,
    /// The pictures of `decode`: a data set's name, folder:DIR, csv:FILE or wds:PATTERN.
    #[arg(long, value_name = "SOURCE", required_if_eq("what", "decode"))]
    pub data: Option<Source>,
    /// Where it lies, and how it is read.
    #[command(flatten)]
    pub place: Place,
    /// One JSON object.
    #[arg(long)]
    pub json: bool,
}

/// What can be timed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum What {
    /// Forward, backward, optimiser.
    TrainStep,
    /// The image tower, forward.
    Image,
    /// The text tower, forward.
    Text,
    /// Training steps on the data set `emoji`: drawings, augmentation and captions included.
    Pipeline,
    /// Pictures of `--data` from where they lie to the encoder's size.
    Decode,
    /// What no program on this machine can exceed: items of 10⁹ multiplications and additions in registers. It has no encoder.
    Peak,
}

/// What `bench --json` prints.
#[derive(Clone, Debug, serde::Serialize)]
pub struct Timing {
    /// `train-step`, `image`, `text`, `pipeline`, `decode` or `peak`.
    pub what: String,
    /// The encoder's name or file; `null` for `peak`, which has none.
    pub encoder: Option<String>,
    /// Items an iteration.
    pub batch: usize,
    /// Timed iterations.
    pub iters: usize,
    /// Size of rayon's pool.
    pub threads: usize,
    /// Parameters that training moves, of both towers: the same in every program that has this encoder.
    pub parameters: usize,
    /// Items a second, at the median.
    pub per_second: f64,
    /// Seconds of an iteration.
    pub seconds_median: f64,
    /// The fastest.
    pub seconds_min: f64,
    /// The slowest.
    pub seconds_max: f64,
    /// The most memory that the process ever held; `null` where the system does not tell.
    pub peak_rss_bytes: Option<u64>,
    /// Pages that the system had to hand out during one iteration, on average; `null` where it does not tell.
    pub minor_faults: Option<f64>,
    /// Floating-point operations of one item, counted in the graph, in 10⁹.
    pub gflop_per_item: f64,
    /// Of `pipeline`: the share of the time in which training waited for data.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub waited: Option<f64>,
}

/// Steps of a training that no benchmark reaches the end of.
const STEPS: u64 = 1_000_000;

/// Iterations before the clock starts: buffers are allocated in the first.
const WARM_UP: usize = 3;

/// Runs the benchmark and prints it.
///
/// # Errors
/// If the encoder is unknown, or a number of iterations or items is 0.
pub fn run(args: &Args, context: &Context) -> Result<()> {
    if args.batch == 0 || args.iters == 0 {
        return Err(Failure::request("--batch and --iters must be at least 1"));
    }
    let name = args.encoder.as_deref().unwrap_or("small-clip");
    let clip = Clip::build(&crate::argument::encoder(name)?);
    let seed = Seed::new(0).child("bench");
    let specs = clip.params();
    let parameters = specs.iter().filter(|spec| spec.trained()).map(ParamSpec::len).sum();
    let weights = || Weights::init(&specs, &seed);
    let batch = || random_batch(&clip, args.batch, &seed);
    let (image, text) = (clip.image.flops() / 1e9, clip.text.flops() / 1e9);
    // Backward costs two products for each of forward's.
    let trained = 3.0 * (image + text);
    let (gflop, Times { mut seconds, faults, waited }) = match args.what {
        What::TrainStep => {
            let config = TrainConfig { batch: args.batch, ..TrainConfig::default() };
            let (batch, weights) = (batch(), weights());
            let mut trainer = Trainer::new(clip.clone(), weights, &config, STEPS);
            (trained, time(args.iters, || trainer.step(&batch).map(|_| 0.0))?)
        }
        What::Image => (image, time_tower(&clip, true, &weights(), &batch(), args.iters)?),
        What::Text => (text, time_tower(&clip, false, &weights(), &batch(), args.iters)?),
        What::Pipeline => (trained, time_pipeline(&clip, args, &seed)?),
        What::Decode => (0.0, time_decode(&clip, args)?),
        What::Peak => (1.0, time_peak(args, context.threads)?),
    };
    let waited = (args.what == What::Pipeline).then(|| waited / seconds.iter().sum::<f64>());
    seconds.sort_by(f64::total_cmp);
    let median = (seconds[(seconds.len() - 1) / 2] + seconds[seconds.len() / 2]) / 2.0;
    let timing = Timing {
        what: clap::ValueEnum::to_possible_value(&args.what)
            .map_or_else(String::new, |v| v.get_name().to_owned()),
        encoder: (args.what != What::Peak).then(|| name.to_owned()),
        batch: args.batch,
        iters: args.iters,
        threads: context.threads,
        parameters,
        per_second: args.batch as f64 / median,
        seconds_median: median,
        seconds_min: seconds[0],
        seconds_max: seconds[seconds.len() - 1],
        peak_rss_bytes: machine::peak_rss_bytes(),
        minor_faults: faults,
        gflop_per_item: gflop,
        waited,
    };
    if args.json {
        let json = serde_json::to_string(&timing).map_err(|e| Failure::failed(e.to_string()))?;
        return crate::output::print(&json);
    }
    let title = match &timing.encoder {
        Some(name) => format!("{} {name}", timing.what),
        None => timing.what.clone(),
    };
    let waited = waited.map(|share| format!(", waited {:.2} % of the time", 100.0 * share));
    crate::output::print(&format!(
        "{} batch {}: {:.1} items/s (median of {}: {:.4} s, {:.4} to {:.4}), {:.0} GFLOP/s, {} threads{}",
        title,
        args.batch,
        timing.per_second,
        args.iters,
        median,
        timing.seconds_min,
        timing.seconds_max,
        gflop * timing.per_second,
        timing.threads,
        waited.unwrap_or_default()
    ))
}

fn random_batch(clip: &Clip, batch: usize, seed: &Seed) -> Batch {
    let (vision, text) = (&clip.config.vision_cfg, &clip.config.text_cfg);
    let mut stream = seed.child("batch").stream();
    let size = vision.image_size;
    Batch {
        pixels: (0..batch * size * size * 3).map(|_| stream.normal()).collect(),
        ids: (0..batch * text.context_length)
            .map(|_| stream.below(text.vocab_size) as u32)
            .collect(),
        // The whole context: the comparison programs do not shorten texts either.
        end: vec![text.context_length as u32 - 1; batch],
    }
}

fn time_tower(
    clip: &Clip,
    image: bool,
    weights: &Weights,
    batch: &Batch,
    iters: usize,
) -> Result<Times> {
    let graph = if image { &clip.image } else { &clip.text };
    let tower = Frozen::new(graph, weights);
    let inputs = if image {
        Inputs::Pixels(&batch.pixels)
    } else {
        Inputs::Tokens { ids: &batch.ids, end: &batch.end }
    };
    let mut arena = Arena::default();
    time(iters, || {
        let embeddings = tower.embed(inputs, &mut arena);
        arena.give(embeddings);
        Ok(0.0)
    })
}

/// As evaluation reads pictures, batch after batch and around again at the end.
fn time_decode(clip: &Clip, args: &Args) -> Result<Times> {
    let source = args.data.as_ref().ok_or_else(|| Failure::request("decode needs --data"))?;
    let data = data::pictures(&args.place.reads(source)?, args.place.root())?;
    let (size, all) = (clip.config.vision_cfg.image_size, data.examples().len());
    let mut next = 0;
    time(args.iters, || {
        let rows = (next..next + args.batch).into_par_iter().map(|i| i % all);
        let ready = rows.map(|row| picture(&data.image(row)?, size)).collect::<Result<Vec<_>>>();
        next += args.batch;
        ready.map(|_| 0.0).map_err(|e| toxiclip_shared::Error::request(e.to_string()))
    })
}

/// Multiplications and additions alone, all threads together as many as `--batch` says.
fn time_peak(args: &Args, threads: usize) -> Result<Times> {
    let each = args.batch as f64 * 1e9 / threads as f64;
    time(args.iters, || {
        peak::multiply_and_add(each);
        Ok(0.0)
    })
}

/// A training as `toxiclip train --data emoji` runs it, without its files.
fn time_pipeline(clip: &Clip, args: &Args, seed: &Seed) -> Result<Times> {
    let splits = emoji::open("emoji")?;
    let data = splits.train.ok_or_else(|| Failure::failed("emoji has no training split"))?;
    if args.batch < 2 || args.batch > data.examples().len() {
        let rows = data.examples().len();
        return Err(Failure::request(format!("--batch must be 2 to {rows}, the pairs of emoji")));
    }
    let Model { clip, weights, tokenizer, .. } = Model::scratch(&clip.config, &*data, seed)?;
    let config = TrainConfig { batch: args.batch, ..TrainConfig::default() };
    let size = clip.config.vision_cfg.image_size;
    let source = Batches::new(&*data, size, &tokenizer, &config, seed)?;
    let mut batches = Ahead::new(source, 0, STEPS)?;
    let mut trainer = Trainer::new(clip, weights, &config, STEPS);
    time(args.iters, || {
        let (outcome, waited) =
            batches.step(|batch| trainer.step(batch)).map_err(toxiclip_shared::Error::request)?;
        outcome.map(|_| waited)
    })
}

/// What the timed iterations cost.
struct Times {
    /// Of each iteration.
    seconds: Vec<f64>,
    /// Minor page faults of one, on average.
    faults: Option<f64>,
    /// Seconds of waiting for data, over all iterations.
    waited: f64,
}

/// `once` returns for how many seconds it waited for data.
fn time(iters: usize, mut once: impl FnMut() -> toxiclip_shared::Result<f64>) -> Result<Times> {
    for _ in 0..WARM_UP {
        once()?;
    }
    let before = machine::minor_faults();
    let (mut seconds, mut waited) = (Vec::with_capacity(iters), 0.0);
    for _ in 0..iters {
        let timer = Timer::start();
        waited += once()?;
        seconds.push(timer.seconds());
    }
    let after = machine::minor_faults();
    let faults = before.zip(after).map(|(b, a)| a.saturating_sub(b) as f64 / iters as f64);
    Ok(Times { seconds, faults, waited })
}
