//! Rankings over a whole grid: defenses over all attacks, and attacks over all defenses.
//!
//! A grid's attacks are a sample of those that exist, so the intervals come from a bootstrap over attacks and seeds, the
//! same draws for every defense; a rank range holds the ranks of 95 % of the draws.

use std::collections::BTreeMap;

use maud::{Markup, html};
use toxiclip_shared::seed::{Seed, Stream};

use super::aggregate::Results;
use super::comparisons::range;
use super::figure::{csv_line, csv_link};
use super::lines::{ASR, HIT, Line, PASSED, TARGETED};

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
    /// By opponent, seed and rival: the seeds of an opponent are those in which all rivals have met it, at least one.
    cells: Vec<Vec<Vec<f64>>>,
}

/// One rival's place.
#[derive(Debug, PartialEq)]
struct Standing {
    rival: String,
    mean: f64,
    interval: [f64; 2],
    ranks: [usize; 2],
}

/// The rankings for which the results hold a grid that is large enough.
pub(super) fn section(results: &Results, lines: &[Line]) -> Option<Markup> {
    let defenses = grid(results, lines, |line| (&line.defense, &line.attack));
    let attacks = grid(results, lines, |line| (&line.attack, &line.defense));
    let ranked = [
        ("defense", "Defenses, over all attacks", "attacks", "after it", false, defenses),
        ("attack", "Attacks, over all defenses", "defenses", "that remains", true, attacks),
    ];
    let ranked: Vec<_> = ranked
        .into_iter()
        .filter_map(|(kind, title, others, what, most, grid)| {
            let grid = grid?;
            Some((kind, title, others, what, standings(&grid, most), grid.opponents.join(", ")))
        })
        .collect();
    (!ranked.is_empty()).then(|| html! {
        section #ranking {
            h2 { "Who beats whom" }
            p {
                "Mean attack success (" (ASR) " of triggers, " (PASSED) " of those behind a screen, " (HIT) " of pairings, " (TARGETED) " of single pictures) over the other side of the grid, with 95 % intervals and rank "
                "ranges from a bootstrap over opponents and seeds. Only opponents that every rival of a table has met count."
            }
            @for (kind, title, others, what, standings, opponents) in &ranked {
                h3 { (title) }
                table {
                    caption { (others) ": " (opponents) }
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

/// The grid of the first data set and encoder, with the opponents that all rivals have met. `sides` are a line's rival
/// and opponent.
fn grid(
    results: &Results,
    lines: &[Line],
    sides: impl Fn(&Line) -> (&String, &String),
) -> Option<Grid> {
    let first = lines.first()?;
    let attacked = lines.iter().filter(|l| {
        l.attack != "none" && (&l.dataset, &l.encoder) == (&first.dataset, &first.encoder)
    });
    let mut all: BTreeMap<(&String, &String), Seeds> = BTreeMap::new();
    let (mut rivals, mut opponents) = (Vec::new(), Vec::new());
    for line in attacked {
        let (rival, opponent) = sides(line);
        for (list, name) in [(&mut rivals, rival), (&mut opponents, opponent)] {
            if !list.contains(&name) {
                list.push(name);
            }
        }
        all.insert((rival, opponent), seeds(results, line));
    }
    let mut grid = Grid { rivals: rivals.iter().map(|&r| r.clone()).collect(), ..Grid::default() };
    for opponent in opponents {
        let met: Option<Vec<&Seeds>> = rivals.iter().map(|r| all.get(&(*r, opponent))).collect();
        let Some((one, others)) = met.as_deref().and_then(<[_]>::split_first) else { continue };
        let of_seed = |(seed, value): (&u64, &f64)| -> Option<Vec<f64>> {
            let rest = others.iter().map(|seeds| seeds.get(seed).copied());
            std::iter::once(Some(*value)).chain(rest).collect()
        };
        let cells: Vec<Vec<f64>> = one.iter().filter_map(of_seed).collect();
        if !cells.is_empty() {
            grid.opponents.push(opponent.clone());
            grid.cells.push(cells);
        }
    }
    (grid.rivals.len() >= FEWEST && grid.opponents.len() >= FEWEST).then_some(grid)
}

fn seeds(results: &Results, line: &Line) -> Seeds {
    let Some((metric, _)) = line.success() else { return Seeds::new() };
    results.rows_of(&line.key(metric)).filter_map(|row| Some((row.seed, row.value?))).collect()
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
    let whole = |(o, seeds): (usize, &Vec<Vec<f64>>)| (0..seeds.len()).map(|s| (o, s)).collect();
    let measured = mean(grid, &grid.cells.iter().enumerate().map(whole).collect::<Vec<_>>());
    let mut all: Vec<Standing> = (0..rivals)
        .map(|i| {
            means[i].sort_by(f64::total_cmp);
            ranks[i].sort_unstable();
            let ends = [(DRAWS - 1) * 25 / 1000, (DRAWS - 1) * 975 / 1000];
            Standing {
                rival: grid.rivals[i].clone(),
                mean: measured[i],
                interval: ends.map(|at| means[i][at]),
                ranks: ends.map(|at| ranks[i][at]),
            }
        })
        .collect();
    all.sort_by(|a, b| if most { b.mean.total_cmp(&a.mean) } else { a.mean.total_cmp(&b.mean) });
    all
}

/// Means of the rivals over opponents and, for each, seeds, both drawn with replacement: the same for every rival.
fn draw(grid: &Grid, stream: &mut Stream) -> Vec<f64> {
    let mut of = |n: usize| -> Vec<usize> { (0..n).map(|_| stream.below(n)).collect() };
    let opponents = of(grid.cells.len());
    let drawn =
        opponents.into_iter().map(|o| of(grid.cells[o].len()).into_iter().map(move |s| (o, s)));
    let drawn: Vec<Vec<(usize, usize)>> = drawn.map(Iterator::collect).collect();
    mean(grid, &drawn)
}

/// Means of the rivals over opponents of their means over seeds; a seed is named by its opponent and its place.
fn mean(grid: &Grid, chosen: &[Vec<(usize, usize)>]) -> Vec<f64> {
    let mut means = vec![0.0; grid.rivals.len()];
    for seeds in chosen {
        let share = 1.0 / (chosen.len() * seeds.len()) as f64;
        for &(opponent, seed) in seeds {
            let values = &grid.cells[opponent][seed];
            means.iter_mut().zip(values).for_each(|(mean, value)| *mean += share * value);
        }
    }
    means
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

    /// By rival, opponent and seed.
    fn grid(values: &[&[&[f64]]]) -> Grid {
        let names = |n: usize, of: &str| (0..n).map(|i| format!("{of}{i}")).collect();
        let of_seed = |o: usize, s: usize| values.iter().map(|rival| rival[o][s]).collect();
        let of_opponent = |o: usize| (0..values[0][o].len()).map(|s| of_seed(o, s)).collect();
        Grid {
            rivals: names(values.len(), "r"),
            opponents: names(values[0].len(), "o"),
            cells: (0..values[0].len()).map(of_opponent).collect(),
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
        // 0.85, 0.95 and 0.75 are the means of its opponents, 0.7 and 1 its extremes.
        let [lo, hi] = all[3].interval;
        assert!(0.7 < lo && lo < 0.8 && 0.88 < hi && hi < 1.0, "{lo} to {hi}");
        let attacks = standings(&grid, true);
        assert_eq!((attacks[0].rival.as_str(), attacks[0].ranks), ("r0", [1, 1]));
    }
}
