//! `toxiclip bench`: how fast one thing runs here.

/// Times training steps or embedding; compare only runs that alternate on a quiet machine.
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
}

/// What `bench --json` prints.
#[derive(Clone, Debug, serde::Serialize)]
pub struct Timing {
    /// `train-step`, `image` or `text`.
    pub what: String,
    /// The encoder's name or file.
    pub encoder: String,
    /// Items an iteration.
    pub batch: usize,
    /// Timed iterations.
    pub iters: usize,
    /// Size of rayon's pool.
    pub threads: usize,
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
    /// Floating-point operations of one item, counted in the graph, in 10⁹.
    pub gflop_per_item: f64,
}
