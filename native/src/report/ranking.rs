//! Rankings over a whole grid: defenses over all attacks, and attacks over all defenses.
//!
//! A grid's attacks are a sample of those that exist, so the intervals come from a bootstrap over attacks and seeds, the
//! same draws for every defense; a rank range holds the ranks of 95 % of the draws.

use std::collections::BTreeMap;

use maud::{Markup, html};
use toxiclip_shared::seed::{Seed, Stream};

use super::aggregate::{Key, Results};
use super::comparisons::range;
use super::figure::{csv_line, csv_link};
use super::lines::{ASR, HIT, Line};

/// Draws of the bootstrap.
const DRAWS: usize = 2000;
/// Fewer rivals or opponents than this are a table, no ranking.
const FEWEST: usize = 3;

/// A value for each seed.
type Seeds = BTreeMap<u64, f64>;

/// Attack success of every (rival, opponent), by seed.
#[derive(Debug, Default)]
struct Grid {
    rivals: Vec<String>,
    opponents: Vec<String>,
    /// By rival and opponent; a pair that was not measured is empty.
    cells: Vec<Vec<Seeds>>,
}

/// One rival's place.
#[derive(Debug, PartialEq)]
struct Standing {
    rival: String,
    mean: f64,
    interval: [f64; 2],
    ranks: [usize; 2],
}

/// Both rankings, where the results hold a grid that is large enough.
pub(super) fn section(results: &Results, lines: &[Line]) -> Option<Markup> {
    let (defenses, attacks) = (by_defense(results, lines)?, by_attack(results, lines)?);
    let ranked = [
        (
            "defense",
            "Defenses, over all attacks",
            "after it",
            standings(&defenses, false),
            defenses,
        ),
        (
            "attack",
            "Attacks, over all defenses",
            "that remains",
            standings(&attacks, true),
            attacks,
        ),
    ];
    Some(html! {
        section #ranking {
            h2 { "Who beats whom" }
            p {
                "Mean attack success (" (ASR) " of triggers, " (HIT) " of pairings) over the other side of the grid, with 95 % intervals and rank "
                "ranges from a bootstrap over opponents and seeds. Only opponents that every rival of a table has met count."
            }
            @for (kind, title, what, standings, grid) in &ranked {
                h3 { (title) }
                table {
                    caption { (grid.opponents.len()) " " (opponents(kind)) ": " (grid.opponents.join(", ")) }
                    thead { tr { th scope="col" { "rank" } th scope="col" { (kind) } th scope="col" { "success " (what) } } }
                    tbody {
                        @for s in standings {
                            tr {
                                th scope="row" { (range(s.ranks[0], s.ranks[1])) }
                                td { (s.rival) }
                                td.number { span { (format!("{:.2}", s.mean)) " " small { (format!("[{:.2}, {:.2}]", s.interval[0], s.interval[1])) } } }
                            }
                        }
                    }
                }
                p.foot { (csv_link(&format!("ranking-{kind}"), &csv(kind, standings))) }
            }
        }
    })
}

fn opponents(kind: &str) -> &'static str {
    if kind == "defense" { "attacks" } else { "defenses" }
}

fn by_defense(results: &Results, lines: &[Line]) -> Option<Grid> {
    grid(results, lines, |line| (line.defense.clone(), line.attack.clone()))
}

fn by_attack(results: &Results, lines: &[Line]) -> Option<Grid> {
    grid(results, lines, |line| (line.attack.clone(), line.defense.clone()))
}

/// The grid of the first data set and encoder, with the opponents that all rivals have met.
fn grid(
    results: &Results,
    lines: &[Line],
    sides: impl Fn(&Line) -> (String, String),
) -> Option<Grid> {
    let first = lines.first()?;
    let attacked = lines.iter().filter(|l| {
        l.attack != "none" && (&l.dataset, &l.encoder) == (&first.dataset, &first.encoder)
    });
    let mut all: BTreeMap<(String, String), Seeds> = BTreeMap::new();
    let mut grid = Grid::default();
    for line in attacked {
        let (rival, opponent) = sides(line);
        for (list, name) in [(&mut grid.rivals, &rival), (&mut grid.opponents, &opponent)] {
            if !list.contains(name) {
                list.push(name.clone());
            }
        }
        all.insert((rival, opponent), seeds(results, line));
    }
    let met = |rival: &String, opponent: &String| {
        all.get(&(rival.clone(), opponent.clone())).is_some_and(|seeds| !seeds.is_empty())
    };
    let rivals = grid.rivals.clone();
    grid.opponents.retain(|o| rivals.iter().all(|r| met(r, o)));
    if grid.rivals.len() < FEWEST || grid.opponents.len() < FEWEST {
        return None;
    }
    let row =
        |r: &String| grid.opponents.iter().map(|o| all[&(r.clone(), o.clone())].clone()).collect();
    grid.cells = grid.rivals.iter().map(row).collect();
    Some(grid)
}

fn seeds(results: &Results, line: &Line) -> Seeds {
    let Some((metric, _)) = line.success() else { return Seeds::new() };
    let key = Key {
        dataset: line.dataset.clone(),
        encoder: line.encoder.clone(),
        attack: line.attack.clone(),
        against: None,
        defense: line.defense.clone(),
        metric: metric.to_owned(),
    };
    results.rows_of(&key).filter_map(|row| Some((row.seed, row.value?))).collect()
}

/// Best first: the least success, or the most where rivals are attacks.
fn standings(grid: &Grid, most: bool) -> Vec<Standing> {
    let mut stream = Seed::new(0).child("report/ranking").stream();
    let rivals = grid.rivals.len();
    let (mut means, mut ranks) = (vec![Vec::new(); rivals], vec![Vec::new(); rivals]);
    for _ in 0..DRAWS {
        let drawn = draw(grid, &mut stream);
        for (i, mean) in drawn.iter().enumerate() {
            let better = |other: &&f64| if most { *other > mean } else { *other < mean };
            ranks[i].push(1 + drawn.iter().filter(better).count());
            means[i].push(*mean);
        }
    }
    let mut all: Vec<Standing> = (0..rivals)
        .map(|i| {
            means[i].sort_by(f64::total_cmp);
            ranks[i].sort_unstable();
            let ends = [(DRAWS - 1) * 25 / 1000, (DRAWS - 1) * 975 / 1000];
            Standing {
                rival: grid.rivals[i].clone(),
                mean: mean(grid.cells[i].iter().map(|s| mean(s.values().copied()))),
                interval: ends.map(|at| means[i][at]),
                ranks: ends.map(|at| ranks[i][at]),
            }
        })
        .collect();
    all.sort_by(|a, b| if most { b.mean.total_cmp(&a.mean) } else { a.mean.total_cmp(&b.mean) });
    all
}

/// Mean of every rival over the same drawn opponents, each with a drawn seed.
fn draw(grid: &Grid, stream: &mut Stream) -> Vec<f64> {
    let mut sums = vec![0.0; grid.rivals.len()];
    let opponents = grid.opponents.len();
    for _ in 0..opponents {
        let (opponent, at) = (stream.below(opponents), stream.uniform());
        for (sum, cells) in sums.iter_mut().zip(&grid.cells) {
            let seeds = &cells[opponent];
            // Rivals lack a seed where a cell has failed: the same share of what each has.
            let place = ((at * seeds.len() as f32) as usize).min(seeds.len() - 1);
            *sum += seeds.values().nth(place).copied().unwrap_or_default();
        }
    }
    sums.iter().map(|sum| sum / opponents as f64).collect()
}

fn mean(values: impl Iterator<Item = f64>) -> f64 {
    let all: Vec<f64> = values.collect();
    all.iter().sum::<f64>() / all.len().max(1) as f64
}

fn csv(kind: &str, standings: &[Standing]) -> String {
    let head = [kind, "rank_first", "rank_last", "mean", "lo", "hi"].map(str::to_owned);
    let mut out = csv_line(&head);
    for s in standings {
        let ranks = s.ranks.map(|r| r.to_string());
        let numbers = [s.mean, s.interval[0], s.interval[1]].map(|v| v.to_string());
        out.push_str(&csv_line(&[&[s.rival.clone()][..], &ranks, &numbers].concat()));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grid(cells: &[&[&[f64]]]) -> Grid {
        let seeds = |values: &&[f64]| (0..).zip(values.iter().copied()).collect();
        let names = |n: usize, of: &str| (0..n).map(|i| format!("{of}{i}")).collect();
        Grid {
            rivals: names(cells.len(), "r"),
            opponents: names(cells[0].len(), "o"),
            cells: cells.iter().map(|row| row.iter().map(seeds).collect()).collect(),
        }
    }

    #[test]
    fn clear_differences_are_single_ranks_and_overlaps_share_them() {
        let grid = grid(&[
            &[&[0.9, 0.8], &[0.9, 1.0], &[0.7, 0.8]],
            &[&[0.1, 0.0], &[0.1, 0.0], &[0.1, 0.1]],
            &[&[0.5, 0.4], &[0.4, 0.6], &[0.5, 0.5]],
            &[&[0.4, 0.5], &[0.6, 0.4], &[0.5, 0.4]],
        ]);
        let all = standings(&grid, false);
        let names: Vec<&str> = all.iter().map(|s| s.rival.as_str()).collect();
        assert_eq!((names[0], names[3]), ("r1", "r0"));
        assert_eq!((all[0].ranks, all[3].ranks), ([1, 1], [4, 4]));
        assert_eq!((all[1].ranks, all[2].ranks), ([2, 3], [2, 3]));
        assert!((all[0].mean - 0.4 / 6.0).abs() < 1e-12);
        assert!(all.iter().all(|s| s.interval[0] <= s.mean && s.mean <= s.interval[1]));
        let attacks = standings(&grid, true);
        assert_eq!((attacks[0].rival.as_str(), attacks[0].ranks), ("r0", [1, 1]));
    }
}
