//! Multinomial logistic regression by L-BFGS (Liu & Nocedal 1989): the one minimum of
//! F(W, b) = mean cross-entropy of softmax(W·u + b) + λ/2·‖W‖², the bias not penalised. scikit-learn's C is 1/(λ·N).

use std::collections::VecDeque;

use super::Head;
use super::cross_entropy::Problem;
use crate::{Error, Result};

/// Pairs of steps and changes of the gradient that are remembered.
const MEMORY: usize = 10;
/// Largest entry of the gradient at which the minimum counts as reached.
const REACHED: f64 = 1e-6;
/// The same where rounding leaves no step that descends: scikit-learn's default.
const STUCK: f64 = 1e-4;
/// Halvings of a step before it is given up.
const HALVINGS: usize = 40;

/// How a head is fitted.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Logistic {
    /// λ, above 0: without it separable pictures have no minimum.
    pub penalty: f64,
    /// Iterations at most.
    pub steps: usize,
}

/// What a probe takes unless it is told otherwise.
impl Default for Logistic {
    fn default() -> Self {
        Self { penalty: 1e-5, steps: 1000 }
    }
}

/// A fitted head and how the search went.
#[derive(Clone, Debug, PartialEq)]
pub struct Fitted {
    /// The classifier.
    pub head: Head,
    /// F before every iteration, and at the end.
    pub losses: Vec<f64>,
}

impl Logistic {
    /// Fits to pictures with unit vectors (N, `width`) of the given classes. Same input, same bits; `tick` is called
    /// with the share of iterations done.
    ///
    /// # Errors
    /// If a vector is not finite, the minimum is not reached in `steps`, or `tick` says so.
    pub fn fit(
        self,
        unit: &[f32],
        width: usize,
        (labels, classes): (&[usize], usize),
        tick: &dyn Fn(f64) -> Result<()>,
    ) -> Result<Fitted> {
        let problem = Problem::new(unit, width, (labels, classes), self.penalty)?;
        let (weights, losses) = self.minimise(&problem, tick)?;
        Ok(Fitted { head: Head::of(width, &weights), losses })
    }

    fn minimise(
        self,
        problem: &Problem<'_>,
        tick: &dyn Fn(f64) -> Result<()>,
    ) -> Result<(Vec<f64>, Vec<f64>)> {
        let mut at = vec![0.0; problem.len()];
        let (mut loss, mut gradient) = problem.evaluate(&at);
        let (mut known, mut losses) = (VecDeque::new(), vec![loss]);
        for step in 0..self.steps {
            tick(step as f64 / self.steps as f64)?;
            if largest(&gradient) <= REACHED {
                return Ok((at, losses));
            }
            let direction = descent(&gradient, &known);
            let Some((moved, now, slope)) = search(problem, &at, loss, &gradient, &direction)
            else {
                if largest(&gradient) <= STUCK {
                    return Ok((at, losses));
                }
                break;
            };
            let change = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a - b).collect();
            let (s, y): (Vec<f64>, Vec<f64>) = (change(&moved, &at), change(&slope, &gradient));
            // What rounding has bent the wrong way is not remembered.
            if dot(&s, &y) > 1e-10 * dot(&y, &y) {
                known.push_back((s, y));
            }
            if known.len() > MEMORY {
                known.pop_front();
            }
            (at, loss, gradient) = (moved, now, slope);
            losses.push(loss);
        }
        let left = largest(&gradient);
        if left <= STUCK {
            return Ok((at, losses));
        }
        Err(Error::request(format!(
            "the classifier did not settle in {} steps (gradient {left:.1e}); raise `penalty` or `steps`",
            self.steps
        )))
    }
}

/// The two-loop recursion: minus the gradient times an estimate of the inverse curvature.
fn descent(gradient: &[f64], known: &VecDeque<(Vec<f64>, Vec<f64>)>) -> Vec<f64> {
    let mut d: Vec<f64> = gradient.iter().map(|g| -g).collect();
    let mut shares = Vec::with_capacity(known.len());
    for (s, y) in known.iter().rev() {
        let share = dot(s, &d) / dot(s, y);
        add(&mut d, -share, y);
        shares.push(share);
    }
    if let Some((s, y)) = known.back() {
        let curvature = dot(s, y) / dot(y, y);
        d.iter_mut().for_each(|x| *x *= curvature);
    }
    for ((s, y), share) in known.iter().zip(shares.into_iter().rev()) {
        let already = dot(y, &d) / dot(s, y);
        add(&mut d, share - already, s);
    }
    d
}

/// The first of the steps 1, ½, ¼, … that descends enough (Armijo), with F and its gradient there.
fn search(
    problem: &Problem<'_>,
    at: &[f64],
    loss: f64,
    gradient: &[f64],
    direction: &[f64],
) -> Option<(Vec<f64>, f64, Vec<f64>)> {
    let along = dot(gradient, direction);
    let mut length = 1.0;
    for _ in 0..HALVINGS {
        let mut moved = at.to_vec();
        add(&mut moved, length, direction);
        let (now, slope) = problem.evaluate(&moved);
        if now <= loss + 1e-4 * length * along {
            return Some((moved, now, slope));
        }
        length *= 0.5;
    }
    None
}

fn largest(values: &[f64]) -> f64 {
    values.iter().fold(0.0, |most, x| most.max(x.abs()))
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(x, y)| x * y).sum()
}

fn add(to: &mut [f64], scale: f64, values: &[f64]) {
    to.iter_mut().zip(values).for_each(|(to, x)| *to += scale * x);
}
