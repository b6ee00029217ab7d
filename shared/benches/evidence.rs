//! Metrics with their intervals, ranking, digests: what a cell costs besides its encoder.

mod short;

use criterion::{BatchSize, Criterion};
use toxiclip_shared::data::PairId;
use toxiclip_shared::digest::Digest;
use toxiclip_shared::metrics::interval::hierarchical;
use toxiclip_shared::metrics::{self, Judgement, Task, ranking};
use toxiclip_shared::seed::{Seed, Stream};

const QUERIES: usize = 5_000;
const GALLERY: usize = 1_000;

fn judgement(i: usize, task: Task, stream: &mut Stream) -> Judgement {
    let sample = format!("set/{:04}", i / 5);
    let caption = task != Task::ZeroShot && task != Task::TextRetrieval;
    let goal = matches!(task, Task::Hit | Task::HitRandom);
    // By its form on disk, so that a field which may be left out can come without changing this.
    serde_json::from_value(serde_json::json!({
        "task": task,
        "sample": PairId(sample.clone()),
        "content": Digest::of(&sample),
        "text": caption.then(|| format!("caption {i}")),
        "label": i % 100,
        "goal": goal.then_some("ewe → airplane"),
        "rank": stream.below(GALLERY),
        "gallery": GALLERY,
        "top": [],
        "scores": [],
        "cluster": sample,
        "poisoned": null,
        "score": null,
    }))
    .unwrap_or_else(|e| panic!("the form of a judgement has changed: {e}"))
}

fn evidence(c: &mut Criterion) {
    let mut stream = Seed::new(0).stream();
    let mut judged = |task, count: usize| -> Vec<Judgement> {
        (0..count).map(|i| judgement(i, task, &mut stream)).collect()
    };
    let (retrieval, hits) = (judged(Task::ImageRetrieval, QUERIES), judged(Task::Hit, 500));
    c.bench_function("metrics of 5,000 retrieval queries", |b| {
        b.iter(|| metrics::values(&retrieval));
    });
    c.bench_function("metrics of 500 attack queries, min-rank's bootstrap included", |b| {
        b.iter(|| metrics::values(&hits));
    });
    let ir = metrics::find("ir@10").unwrap_or_else(|e| panic!("{e}"));
    let clusters = ir.clusters(&retrieval);
    c.bench_function("bootstrap over three seeds and 1,000 pictures", |b| {
        b.iter(|| hierarchical(&[&clusters, &clusters, &clusters]));
    });
}

fn ranks(c: &mut Criterion) {
    let mut stream = Seed::new(1).stream();
    let scores: Vec<f32> = (0..GALLERY).map(|_| stream.normal()).collect();
    c.bench_function("five best of 1,000", |b| b.iter(|| ranking::top_k(&scores, 5)));
    c.bench_function("rank among 1,000", |b| b.iter(|| ranking::rank_of_best(&scores, &[3, 700])));
    c.bench_function("digest of 1 MB", |b| {
        b.iter_batched_ref(
            || vec![7u8; 1 << 20],
            |bytes| Digest::of_bytes(bytes),
            BatchSize::LargeInput,
        );
    });
}

fn main() {
    let mut c = short::criterion();
    evidence(&mut c);
    ranks(&mut c);
    c.final_summary();
}
