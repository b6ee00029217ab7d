//! Audits of towers whose answer is known: one that sees nothing, and one that no trigger can level.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should say where")]
#![cfg(feature = "cpu")]

use serde_json::{Value, json};
use toxiclip_shared::audit::{Subject, Verdict};
use toxiclip_shared::defenses::{DEFENSES, Defense};
use toxiclip_shared::encoders::{Clip, library};
use toxiclip_shared::registry::find;
use toxiclip_shared::seed::Seed;
use toxiclip_shared::weights::Weights;
use toxiclip_shared::{Error, Result};

/// A tower with start values; a blind one has lost its first layer, so that all pictures look alike.
fn audit(
    name: &str,
    parameters: Value,
    blind: bool,
    tick: &dyn Fn(f64) -> Result<()>,
) -> Result<Verdict> {
    let clip = Clip::build(&library::find("tiny-resnet").unwrap());
    let mut weights = Weights::init(&clip.params(), &Seed::new(1));
    if blind {
        weights.get_mut("visual.conv1.weight").unwrap().data.fill(0.0);
        weights.get_mut("visual.bn1.bias").unwrap().data.fill(0.1);
    }
    let mut stream = Seed::new(2).stream();
    // One colour each.
    let colours: Vec<[f32; 3]> = (0..16).map(|_| [0; 3].map(|_| stream.uniform())).collect();
    let pictures: Vec<f32> = colours.iter().flat_map(|c| c.repeat(32 * 32)).collect();
    let width = clip.config.embed_dim;
    let classes: Vec<f32> =
        (0..8 * width).map(|i| if i % width == i / width { 1.0 } else { 0.0 }).collect();
    let Defense::Audit(audit) =
        *(find("defense", DEFENSES, name).unwrap().parse)(parameters).unwrap()
    else {
        panic!("no audit")
    };
    let (pictures, classes) = (&pictures, &classes);
    let subject = Subject { clip: &clip, weights: &weights, pictures, classes, tick };
    audit.look(&subject, &Seed::new(3))
}

fn decree(parameters: Value, blind: bool) -> Verdict {
    audit("decree", parameters, blind, &|_| Ok(())).unwrap()
}

#[test]
fn a_tower_that_sees_nothing_needs_no_trigger() {
    let verdict = decree(json!({ "batch": 8, "steps": 120 }), true);
    assert!(verdict.flagged && verdict.score < 0.1, "{}", verdict.score);
    let trigger = verdict.trigger.unwrap();
    let mean = trigger.mask.iter().map(|m| f64::from(*m)).sum::<f64>() / 1024.0;
    assert!((mean - verdict.score).abs() < 1e-9, "the picture is that of the score");
    assert_eq!((trigger.edge, trigger.pattern.len()), (32, 3072));
}

#[test]
fn a_search_that_never_succeeds_flags_nothing() {
    let strict = json!({ "batch": 8, "steps": 4, "success": 0.999_99 });
    let verdict = decree(strict.clone(), false);
    assert_eq!((verdict.score, verdict.flagged, verdict.trigger), (1.0, false, None));
    // The same demand is met where all pictures look alike: it is the tower that decides.
    let blind = decree(strict, true);
    assert!(blind.trigger.is_some() && blind.score < 0.6, "{}", blind.score);
}

#[test]
fn neural_cleanse_looks_at_the_drawn_classes_and_repeats() {
    let look = |classes: usize| {
        let parameters = json!({ "classes": classes, "batch": 8, "steps": 3 });
        audit("neural-cleanse", parameters, false, &|_| Ok(())).unwrap()
    };
    let six = look(6);
    assert_eq!(six, look(6));
    let drawn: Vec<usize> = six.classes.iter().map(|c| c.class).collect();
    assert_eq!(drawn.len(), 6);
    assert!(drawn.windows(2).all(|w| w[0] < w[1]) && drawn[5] < 8, "{drawn:?}");
    assert_eq!(look(0).classes.len(), 8);
    assert!(six.classes.iter().all(|c| c.norm > 0.0 && c.norm <= 1.0));
}

#[test]
fn a_tick_that_fails_ends_the_audit() {
    let stop = |done: f64| if done > 0.2 { Err(Error::request("stopped")) } else { Ok(()) };
    for name in ["decree", "neural-cleanse"] {
        let error = audit(name, json!({ "batch": 8, "steps": 5 }), false, &stop).unwrap_err();
        assert_eq!(error.to_string(), "stopped");
    }
}
