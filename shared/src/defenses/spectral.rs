//! Spectral signatures (Tran, Li and Madry 2018): what lies far along the direction of largest spread is suspicious.
//!
//! Within a group, with x̄ the mean of its pictures' embeddings and v the top right singular vector of the centred ones,
//! s(i) = ((xᵢ − x̄)·v)². The published rule goes by class and removes 1.5 times the expected poison of each; SCLBD's
//! BackdoorBench removes what exceeds percentile 85 of its class, which is the default here (`drop` = 0.15). So that
//! groups compare, score(i) = s(i) over the (1 − drop) quantile of its group, and what scores above 1 goes. Pairs have no
//! classes: a group is all that is offered, or all rows whose captions name a class (`group = "class-word"`), those that
//! name none being one more. The method expects the poison to be the smaller part of its group, which a class of a few
//! pictures that a hundred stamped ones join is not.

use serde::{Deserialize, Serialize};

use super::{Defense, Sight};
use crate::Result;
use crate::filtering::{self, DROP, Detector, GROUP, Grouping, LOOK, check_drop, quantile};
use crate::pca;
use crate::registry::{Card, Entry, Param};
use crate::seed::Seed;

/// The score of what spreads where its group's quantile does not: its other pictures coincide.
const ALONE: f64 = 1000.0;

#[derive(Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
struct Spectral {
    drop: f64,
    group: Grouping,
}

impl Default for Spectral {
    fn default() -> Self {
        Self { drop: 0.15, group: Grouping::None }
    }
}

pub(super) static ENTRY: Entry<Defense> = Entry {
    card: Card {
        name: "spectral",
        title: "Spectral signatures",
        year: 2018,
        paper: "Tran et al., arXiv:1811.00636",
        summary: "drops the pairs whose pictures lie farthest along the direction in which the poisoned model spreads a group most",
        threat_model: "the defender trains on the offered pairs once to look and once without the suspicious ones; no clean pairs",
    },
    params: &[
        &[
            Param {
                unit: "share of a group",
                help: "the most suspicious pairs of each, which go",
                ..DROP
            },
            GROUP,
        ],
        LOOK[0],
        LOOK[1],
    ],
    parse: filtering::parse::<Spectral>,
    resolve: filtering::resolve::<Spectral>,
};

impl Detector for Spectral {
    const NAME: &'static str = "spectral";

    fn check(&self) -> Result<(), String> {
        check_drop(self.drop)
    }

    fn scores(&self, sight: &Sight<'_>, _seed: &Seed) -> Result<Vec<f64>> {
        let pictures = (sight.pictures)()?;
        let mut scores = vec![0.0; pictures.len()];
        for rows in self.group.groups(sight, pictures.len()) {
            let points: Vec<&[f32]> = rows.iter().map(|&row| pictures.row(row)).collect();
            let along = pca::axes(&points, 1).into_iter().next().unwrap_or(vec![0.0; rows.len()]);
            let squares: Vec<f32> = along.iter().map(|x| (x * x) as f32).collect();
            let usual = f64::from(quantile(&squares, 1.0 - self.drop));
            for (row, square) in rows.into_iter().zip(squares.into_iter().map(f64::from)) {
                scores[row] = match usual > 0.0 {
                    true => square / usual,
                    false if square > 0.0 => ALONE,
                    false => 0.0,
                };
            }
        }
        Ok(scores)
    }

    fn cut(&self, _scores: &[f32]) -> Result<f32> {
        Ok(1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::filtering::grouped::{Case, golden};

    fn deviation(case: &Case, group: Grouping, golden: &[f64], drop: f64) -> f64 {
        let scores = case.scores(&Spectral { drop, group });
        scores.iter().zip(golden).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
    }

    #[test]
    fn scores_are_those_of_numpy() {
        let case = golden("spectral");
        for (group, golden) in [(Grouping::None, &case.whole), (Grouping::ClassWord, &case.parted)]
        {
            let off = deviation(&case, group, golden, 0.15);
            assert!(off < 1e-4, "{group:?}: {off}");
        }
    }

    #[test]
    fn the_comparison_can_fail() {
        let case = golden("spectral");
        assert!(deviation(&case, Grouping::None, &case.parted, 0.15) > 0.1);
        assert!(deviation(&case, Grouping::None, &case.whole, 0.3) > 0.1);
        let mut moved = case.whole.clone();
        moved[3] += 0.001;
        assert!(deviation(&case, Grouping::None, &moved, 0.15) > 1e-4);
    }
}
