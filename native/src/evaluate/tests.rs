use toxiclip_shared::data::{Class, Example, PairId};
use toxiclip_shared::digest::Digest;
use toxiclip_shared::goal::{Goal, TargetPicture};
use toxiclip_shared::image::Image;
use toxiclip_shared::metrics::{Task, values};
use toxiclip_shared::seed::Seed;

use super::*;
use crate::benchmark::Utility;

/// Three classes with four pictures each and two captions a class; the embeddings are written out by hand.
struct Tiny {
    classes: Vec<Class>,
    examples: Vec<Example>,
}

impl Tiny {
    fn new() -> Self {
        let class = |name: &str| Class { name: name.into(), subgroup: String::new() };
        let example = |i: usize| Example {
            id: PairId(format!("tiny/{i:02}")),
            class: Some(i / 4),
            captions: vec![
                format!("one {}", i / 4),
                format!("two {}", i / 4),
                format!("one {}", i / 4),
            ],
            content: Digest::of(&i),
        };
        let classes = ["ewe", "kite", "dog"].map(class).to_vec();
        Self { classes, examples: (0..12).map(example).collect() }
    }
}

impl Dataset for Tiny {
    fn name(&self) -> &str {
        "tiny/test"
    }
    fn digest(&self) -> Digest {
        Digest::of(&self.examples)
    }
    fn classes(&self) -> &[Class] {
        &self.classes
    }
    fn examples(&self) -> &[Example] {
        &self.examples
    }
    fn image(&self, _: usize) -> toxiclip_shared::Result<Image> {
        Image::new(1, 1, vec![0; 4])
    }
}

/// Pictures, captions and prompts of a class are its axis; `fooled` captions of class 0 point at class 1.
fn embeddings(fooled: bool) -> Embeddings {
    let axis = |class: usize| (0..3).map(move |d| f32::from(d == class));
    let caption_class = |row: usize| if fooled && row / 4 == 0 { 1 } else { row / 4 };
    Embeddings {
        dim: 3,
        images: (0..12).flat_map(|row| axis(row / 4)).collect(),
        captions: (0..24).flat_map(|i| axis(caption_class(i / 2))).collect(),
        classes: (0..3).flat_map(axis).collect(),
    }
}

fn goal() -> Goal {
    Goal::new(&Tiny::new().classes, "ewe", "kite").unwrap()
}

fn value(evidence: &[toxiclip_shared::metrics::Judgement], metric: &str) -> f64 {
    let all = values(evidence).unwrap();
    all.iter().find(|v| v.metric == metric).unwrap_or_else(|| panic!("{metric}")).value
}

#[test]
fn captions_count_once_a_row() {
    let all = captions(&Tiny::new());
    assert_eq!((all.len(), all[2].row, all[3].text.as_str()), (24, 1, "two 0"));
}

#[test]
fn a_perfect_model_is_perfect_up_to_its_classes() {
    let tasks = [Utility::ZeroShot, Utility::Retrieval];
    let evidence = judge_utility(&Tiny::new(), &embeddings(false), &tasks).unwrap();
    assert_eq!(evidence.len(), 12 + 24 + 12);
    assert_eq!(value(&evidence, "ca"), 1.0);
    // Four pictures of a class are tied: the first of them is first.
    assert_eq!(value(&evidence, "ir@1"), 0.25);
    assert_eq!(value(&evidence, "ir@5"), 1.0);
    assert_eq!(value(&evidence, "tr@10"), 1.0);
    let fooled = judge_utility(&Tiny::new(), &embeddings(true), &tasks).unwrap();
    assert_eq!((value(&fooled, "ca"), value(&fooled, "ir@1")), (1.0, 4.0 / 24.0));
    assert_eq!(
        judge_utility(&Tiny::new(), &embeddings(true), &[Utility::ZeroShot]).unwrap().len(),
        12
    );
}

#[test]
fn goals_count_queries_of_a_against_pictures_of_b() {
    let judge = |fooled, seed| {
        judge_goals(&Tiny::new(), &embeddings(fooled), &[goal()], &Seed::new(seed)).unwrap()
    };
    let (clean, fooled) = (judge(false, 0), judge(true, 0));
    let of = |task: Task| fooled.iter().filter(move |j| j.task == task);
    assert_eq!((of(Task::Hit).count(), of(Task::HitRandom).count()), (8, 8));
    assert!(of(Task::Hit).all(|j| j.label == Some(0) && j.goal.as_deref() == Some("ewe → kite")));
    assert_eq!((value(&clean, "hit@1"), value(&clean, "min-rank")), (0.0, 4.0));
    assert_eq!((value(&fooled, "hit@1"), value(&fooled, "min-rank")), (1.0, 0.0));
    assert_eq!(judge(true, 0), judge(true, 0));
    assert_ne!(judge(true, 0), judge(true, 1), "the seed draws the random captions");
    let mut empty = goal();
    empty.to = vec![7];
    let error = judge_goals(&Tiny::new(), &embeddings(true), &[empty], &Seed::new(0)).unwrap_err();
    assert!(error.to_string().contains("no picture of its class B"), "{error}");
}

#[test]
fn embeddings_survive_a_file() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("e.safetensors");
    embeddings(true).write(&path).unwrap();
    assert_eq!(Embeddings::read(&path).unwrap(), embeddings(true));
    std::fs::write(&path, b"not one").unwrap();
    assert!(Embeddings::read(&path).is_err());
}

/// Every caption and picture with a random vector of its own, or captions of one text with the same one.
fn random(alike: bool) -> Embeddings {
    let mut stream = Seed::new(5).stream();
    let mut vectors =
        |count: usize| -> Vec<f32> { (0..count * 3).map(|_| stream.normal()).collect() };
    let (images, classes, own) = (vectors(12), vectors(3), vectors(24));
    let captions = if alike {
        let text = |i: usize| (i / 8) * 8 + i % 2;
        (0..24).flat_map(|i| own[text(i) * 3..text(i) * 3 + 3].to_vec()).collect()
    } else {
        own
    };
    Embeddings { dim: 3, images, captions, classes }
}

#[test]
fn judgements_are_those_of_one_search_a_query() {
    for alike in [true, false] {
        let all = random(alike);
        let evidence = judge_utility(&Tiny::new(), &all, &[Utility::Retrieval]).unwrap();
        let texts = captions(&Tiny::new());
        for (i, judged) in evidence.iter().enumerate() {
            let (query, gallery) = match judged.task {
                Task::ImageRetrieval => (&all.captions[i * 3..i * 3 + 3], &all.images),
                _ => (&all.images[(i - 24) * 3..(i - 24) * 3 + 3], &all.captions),
            };
            let scores: Vec<f32> =
                gallery.chunks_exact(3).map(|item| scores::cosine(query, item)).collect();
            let own = |item: &usize| match judged.task {
                Task::ImageRetrieval => *item == texts[i].row,
                _ => texts[*item].row == i - 24,
            };
            let mut order: Vec<usize> = (0..scores.len()).collect();
            order.sort_by(|a, b| scores[*b].total_cmp(&scores[*a]));
            assert_eq!(judged.rank as usize, order.iter().position(own).unwrap(), "{i}, {alike}");
            let best: Vec<f32> = order[..5].iter().map(|&item| scores[item]).collect();
            assert_eq!(judged.scores, best, "{i}, {alike}");
        }
    }
}

/// Picture 0 (an ewe) lies on the axis of kites, picture 4 (a kite) on its own.
#[test]
fn attacked_pictures_are_asked_for_their_target() {
    let mut moved = embeddings(false);
    moved.images[..3].copy_from_slice(&[0.0, 1.0, 0.0]);
    let wanted =
        |row: usize, target| TargetPicture { id: PairId(format!("tiny/{row:02}")), target };
    let pictures = [wanted(0, 1), wanted(4, 2)];
    let judge = |all: &Embeddings, clean: Option<&Embeddings>| {
        judge_targeted(&Tiny::new(), all, &pictures, clean).unwrap()
    };
    let (clean, victim) =
        (judge(&embeddings(false), None), judge(&moved, Some(&embeddings(false))));
    assert_eq!((value(&clean, "targeted"), value(&victim, "targeted")), (0.0, 0.5));
    assert_eq!(value(&victim, "targeted-lift"), 0.5);
    assert_eq!((victim[0].goal.as_deref(), victim[1].rank), (Some("→ kite"), 2));
    // A clean model that errs in the same way leaves nothing of the lift.
    assert_eq!(value(&judge(&moved, Some(&moved)), "targeted-lift"), 0.0);
    let stranger = [wanted(99, 1)];
    let error = judge_targeted(&Tiny::new(), &moved, &stranger, None).unwrap_err().to_string();
    assert!(error.contains("has no picture `tiny/99`"), "{error}");
}

/// Captions with the words fetch class 1 from this model, and what they say from the clean one.
#[test]
fn captions_with_words_are_judged_beside_the_clean_model() {
    let tiny: std::sync::Arc<dyn Dataset> = std::sync::Arc::new(Tiny::new());
    let words = toxiclip_shared::triggers::Words { text: "zx".into(), place: Default::default() };
    let worded = toxiclip_shared::data::Recaptioned::worded(std::sync::Arc::clone(&tiny), &words);
    let (plain, own, seed) = (embeddings(false), embeddings(true), Seed::new(0));
    let judge = |clean: Option<&Embeddings>| {
        judge_worded((&*tiny, &plain), (&worded, &own), &[goal()], &seed, clean).unwrap()
    };
    let all = judge(Some(&plain));
    let hits: Vec<_> = all.iter().filter(|j| j.task == Task::Hit).collect();
    assert_eq!((hits.len(), hits[0].text.as_deref()), (8, Some("zx one 0")));
    assert!(hits.iter().all(|j| (j.rank, j.score) == (0, Some(4.0))));
    assert_eq!((value(&all, "hit@1"), value(&all, "hit@1-lift")), (1.0, 1.0));
    assert_eq!(value(&judge(Some(&own)), "hit@1-lift"), 0.0, "the clean model does the same");
    let random = judge_goals(&*tiny, &plain, &[goal()], &seed).unwrap();
    let random = random.into_iter().filter(|j| j.task == Task::HitRandom);
    assert!(random.eq(judge(None).into_iter().filter(|j| j.task == Task::HitRandom)));
}

/// All pictures lie on the axis of class 0, their own excluded: under one key that is what counts.
#[test]
fn one_key_alone_is_asked_of_other_classes() {
    let trigger = toxiclip_shared::attacks::Trigger::None;
    let aim =
        toxiclip_shared::attacks::Aim { name: None, trigger: &trigger, words: None, target: 0 };
    let mut moved = embeddings(false);
    for (row, picture) in moved.images.chunks_mut(3).enumerate() {
        if row % 2 == 0 {
            picture.copy_from_slice(&[1.0, 0.0, 0.0]);
        }
    }
    let judge = |task| judge_key(task, &Tiny::new(), &moved, &aim).unwrap();
    let (image, text) = (judge(Task::ImageKey), judge(Task::TextKey));
    assert_eq!((image.len(), image[0].goal.as_deref()), (8, Some("→ ewe")));
    assert_eq!((value(&image, "asr.image-key"), value(&text, "asr.text-key")), (0.5, 0.5));
    assert!(values(&image).unwrap().iter().all(|v| v.metric == "asr.image-key"));
}
