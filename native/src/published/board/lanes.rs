//! The lanes of the leaderboard: what is ranked, by which metrics, and which direction is better. In one place.
//!
//! A lane ranks one side against a fixed other: attacks on undefended models, defenses under one attack. Anybody may add an
//! attack to a protocol; what a defense is worth is the worst that anybody found against it (see `ranks.rs`).

/// Which end of the deciding metric is wanted by whoever is ranked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Best {
    /// As high as can be.
    High,
    /// As low as can be.
    Low,
}

/// Who is ranked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    /// The attack; the defense is fixed.
    Attack,
    /// The defense; the attack is fixed.
    Defense,
}

/// One way to rank.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Lane {
    /// The word in addresses and files.
    pub(super) id: &'static str,
    /// What people read.
    pub(super) title: &'static str,
    /// What the lane asks.
    pub(super) question: &'static str,
    /// Metrics that decide, the first of which a model has; values of two are never ranked against each other.
    pub(super) metrics: &'static [&'static str],
    /// Whether more of them is better.
    pub(super) best: Best,
    /// Who is ranked.
    pub(super) side: Side,
    /// Whether models without a defense, or those with one, belong to it.
    pub(super) defended: bool,
}

/// Success of an attack, by the kind of its goal; behind a screen, on what passes.
const SUCCESS: &[&str] = &["hit@10", "asr-passed", "asr", "targeted"];

/// All lanes, in the order in which they are shown.
pub(super) static LANES: &[Lane] = &[
    Lane {
        id: "attacks",
        title: "attacks",
        question: "How often does an attack succeed on a model that nobody defends?",
        metrics: SUCCESS,
        best: Best::High,
        side: Side::Attack,
        defended: false,
    },
    Lane {
        id: "defenses",
        title: "defenses",
        question: "How often does an attack still succeed after a defense?",
        metrics: SUCCESS,
        best: Best::Low,
        side: Side::Defense,
        defended: true,
    },
    Lane {
        id: "detectors",
        title: "detectors",
        question: "How well does a defense tell poisoned pairs, or stamped pictures, from clean ones?",
        metrics: &["auroc", "screen.auroc"],
        best: Best::High,
        side: Side::Defense,
        defended: true,
    },
    Lane {
        id: "audits",
        title: "audits",
        question: "How often does whoever is given only a model flag a poisoned one?",
        metrics: &["flagged"],
        best: Best::High,
        side: Side::Defense,
        defended: true,
    },
];

impl Lane {
    /// Whether a model belongs to it.
    pub(super) fn takes(&self, attack: &str, defense: &str) -> bool {
        attack != "none" && (defense != "none") == self.defended
    }

    /// Whether `a` is better than `b` for whoever is ranked.
    pub(super) fn beats(&self, a: f64, b: f64) -> bool {
        match self.best {
            Best::High => a > b,
            Best::Low => a < b,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use toxiclip_shared::metrics;

    #[test]
    fn lanes_are_decided_by_metrics_that_exist_and_in_their_direction() {
        for lane in LANES {
            for name in lane.metrics {
                let metric = metrics::find(name).unwrap();
                // A metric's direction is that of whoever deploys the model; an attack wants the other.
                let wanted = match lane.side {
                    Side::Attack => !metric.higher_is_better,
                    Side::Defense => metric.higher_is_better,
                };
                assert_eq!(wanted, lane.best == Best::High, "{} in {}", name, lane.id);
            }
        }
    }

    #[test]
    fn a_model_is_in_the_lanes_of_its_kind() {
        let of = |attack: &str, defense: &str| -> Vec<&str> {
            LANES.iter().filter(|l| l.takes(attack, defense)).map(|l| l.id).collect()
        };
        assert_eq!(of("badnets", "none"), ["attacks"]);
        assert_eq!(of("badnets", "strip"), ["defenses", "detectors", "audits"]);
        assert!(of("none", "none").is_empty() && of("none", "strip").is_empty());
        assert!(LANES[0].beats(0.9, 0.1) && LANES[1].beats(0.1, 0.9));
    }
}
