//! The two networks: one hides bits in a picture as a residual, the other reads them back.

use super::layer::{Gradients, Layer};
use crate::graph::ParamSpec;
use crate::triggers::{Convolution, Residual};
use crate::weights::Weights;

/// Edge of the pictures that both networks look at, and cells of the message along it.
pub(super) const EDGE: usize = 32;
const CELLS: usize = 8;
/// Channels of the hiding network, planes of the message, channels of the reading network's first layer.
const WIDTH: usize = 12;
const PLANES: usize = 4;
const READING: usize = 16;
/// Multiplied to what the last layer writes: residuals are strong from the first step on, or nothing is learned.
const GAIN: f32 = 4.0;

pub(super) struct Network {
    look: Layer,
    spread: Layer,
    mix: Layer,
    write: Layer,
    /// Three convolutions and a dense layer.
    read: [Layer; 4],
    /// In [0, 1].
    strength: f32,
    /// Multiplied to `strength` in training, 1 in the trigger.
    pub boost: f32,
}

/// What the hiding network has computed.
struct Hidden {
    centred: Vec<f32>,
    bits: Vec<f32>,
    looked: Vec<f32>,
    spread: Vec<f32>,
    joined: Vec<f32>,
    mixed: Vec<f32>,
    written: Vec<f32>,
    /// Stamped pictures, in [0, 1].
    stamped: Vec<f32>,
}

/// A batch's loss, part by part.
#[derive(Clone, Copy, Debug)]
pub(super) struct Loss {
    /// Mean cross-entropy of a bit.
    pub bits: f32,
    /// Share of the residuals' energy that the pictures of a group have in common; where they have nothing, 1 over their number.
    pub common: f32,
    /// What `common` counts.
    pub weight: f32,
}

impl Loss {
    pub(super) fn total(&self) -> f32 {
        self.bits + self.weight * self.common
    }
}

impl Network {
    pub(super) fn new(bits: usize, strength: f32) -> Self {
        let half = Layer::square("read.1", EDGE, [READING, 2 * READING], 2);
        let quarter = Layer::square("read.2", EDGE / 2, [2 * READING; 2], 2);
        let answer = Layer::dense("read.3", quarter.output, bits);
        Self {
            look: Layer::square("look", EDGE, [3, WIDTH], 1),
            spread: Layer::dense("spread", [1, 1, bits], CELLS * CELLS * PLANES),
            mix: Layer::square("mix", EDGE, [WIDTH + PLANES, WIDTH], 1),
            write: Layer { positive: false, ..Layer::square("write", EDGE, [WIDTH, 3], 1) },
            read: [Layer::square("read.0", EDGE, [3, READING], 1), half, quarter, answer],
            strength,
            boost: 1.0,
        }
    }

    pub(super) fn specs(&self) -> Vec<ParamSpec> {
        let hiding = [&self.look, &self.spread, &self.mix, &self.write];
        hiding.into_iter().chain(&self.read).flat_map(Layer::specs).collect()
    }

    /// Stamps `pictures` (B, E, E, 3) in [0, 1]; `bits` (B, bits) are −1 or 1.
    fn hide(&self, weights: &Weights, pictures: &[f32], bits: &[f32]) -> Hidden {
        let centred: Vec<f32> = pictures.iter().map(|v| v - 0.5).collect();
        let looked = self.look.forward(weights, &centred);
        let spread = self.spread.forward(weights, bits);
        let joined = join(&looked, &spread);
        let mixed = self.mix.forward(weights, &joined);
        let written = self.write.forward(weights, &mixed);
        let stamped =
            pictures.iter().zip(&written).map(|(x, z)| (x + self.moved(*z).0).clamp(0.0, 1.0));
        let (stamped, bits) = (stamped.collect(), bits.to_vec());
        Hidden { centred, bits, looked, spread, joined, mixed, written, stamped }
    }

    /// What a written value adds to a channel, and the slope of that.
    fn moved(&self, written: f32) -> (f32, f32) {
        let z = GAIN * written;
        let share = 1.0 / (1.0 + z * z).sqrt();
        let most = self.strength * self.boost;
        (most * z * share, most * GAIN * share.powi(3))
    }

    fn hide_back(
        &self,
        weights: &Weights,
        pictures: &[f32],
        hidden: &Hidden,
        d_stamped: &[f32],
        gradients: &mut Gradients,
    ) {
        let slope = |((d, z), x): ((&f32, &f32), &f32)| {
            let (moved, slope) = self.moved(*z);
            if (0.0..=1.0).contains(&(x + moved)) { d * slope } else { 0.0 }
        };
        let d_written = d_stamped.iter().zip(&hidden.written).zip(pictures).map(slope).collect();
        let d_mixed =
            self.write.backward(weights, (&hidden.mixed, &hidden.written), d_written, gradients);
        let d_joined =
            self.mix.backward(weights, (&hidden.joined, &hidden.mixed), d_mixed, gradients);
        let (d_looked, d_spread) = part(&d_joined, hidden.spread.len());
        self.spread.backward(weights, (&hidden.bits, &hidden.spread), d_spread, gradients);
        self.look.backward(weights, (&hidden.centred, &hidden.looked), d_looked, gradients);
    }

    /// All layers' values of the reading network, its logits (B, bits) the last.
    fn read(&self, weights: &Weights, stamped: &[f32]) -> Vec<Vec<f32>> {
        let mut values = vec![stamped.iter().map(|v| v - 0.5).collect::<Vec<f32>>()];
        for layer in &self.read {
            values.push(layer.forward(weights, &values[values.len() - 1]));
        }
        values
    }

    /// Stamped pictures, (B, E, E, 3) in [0, 1].
    #[cfg(test)]
    pub(super) fn stamp(&self, weights: &Weights, pictures: &[f32], bits: &[f32]) -> Vec<f32> {
        self.hide(weights, pictures, bits).stamped
    }

    /// Logits of the bits in pictures, (B, bits).
    #[cfg(test)]
    pub(super) fn logits(&self, weights: &Weights, stamped: &[f32]) -> Vec<f32> {
        self.read(weights, stamped).pop().unwrap_or_default()
    }

    /// The loss of a batch, `group` pictures in a row having one message, with the gradient of its total. What residuals of
    /// a group have in common counts `own` times the part of a bit that is read by now: beside it nobody learns to read.
    pub(super) fn slope(
        &self,
        weights: &Weights,
        pictures: &[f32],
        bits: &[f32],
        (group, own): (usize, f32),
    ) -> (Loss, Gradients) {
        let hidden = self.hide(weights, pictures, bits);
        let values = self.read(weights, &hidden.stamped);
        let mut gradients = Gradients::new();
        let (entropy, mut d) = cross_entropy(&values[self.read.len()], bits);
        let own = if group > 1 { own } else { 0.0 };
        let weight = own * (1.0 - entropy / std::f32::consts::LN_2).max(0.0);
        for (i, layer) in self.read.iter().enumerate().rev() {
            d = layer.backward(weights, (&values[i], &values[i + 1]), d, &mut gradients);
        }
        let residual: Vec<f32> = hidden.stamped.iter().zip(pictures).map(|(y, x)| y - x).collect();
        let (common, d_common) = common(&residual, group);
        d.iter_mut().zip(&d_common).for_each(|(d, c)| *d += weight * c);
        self.hide_back(weights, pictures, &hidden, &d, &mut gradients);
        (Loss { bits: entropy, common, weight }, gradients)
    }

    /// The hiding network with the one message that a backdoor has.
    pub(super) fn trigger(&self, weights: &Weights, secret: &str, bits: &[f32]) -> Residual {
        let write = convolution(&self.write, weights);
        let wider = |values: Vec<f32>| values.iter().map(|v| GAIN * v).collect();
        Residual {
            secret: secret.to_owned(),
            edge: EDGE,
            strength: f64::from(self.strength) * 255.0,
            cells: CELLS,
            message: self.spread.forward(weights, bits),
            look: convolution(&self.look, weights),
            mix: convolution(&self.mix, weights),
            write: Convolution { weight: wider(write.weight), bias: wider(write.bias) },
            resolution: None,
        }
    }
}

/// The message's planes behind the features of every pixel.
fn join(looked: &[f32], spread: &[f32]) -> Vec<f32> {
    let mut joined = Vec::with_capacity(looked.len() / WIDTH * (WIDTH + PLANES));
    for (pixel, features) in looked.chunks_exact(WIDTH).enumerate() {
        joined.extend_from_slice(features);
        let cell = cell(pixel);
        joined.extend_from_slice(&spread[cell..cell + PLANES]);
    }
    joined
}

/// The gradient of features and of planes from that of both.
fn part(d_joined: &[f32], planes: usize) -> (Vec<f32>, Vec<f32>) {
    let mut d_looked = Vec::with_capacity(d_joined.len() / (WIDTH + PLANES) * WIDTH);
    let mut d_spread = vec![0.0; planes];
    for (pixel, d) in d_joined.chunks_exact(WIDTH + PLANES).enumerate() {
        d_looked.extend_from_slice(&d[..WIDTH]);
        let cell = cell(pixel);
        d_spread[cell..cell + PLANES].iter_mut().zip(&d[WIDTH..]).for_each(|(sum, d)| *sum += d);
    }
    (d_looked, d_spread)
}

/// Where the planes of a pixel of a batch begin.
fn cell(pixel: usize) -> usize {
    let (picture, place) = (pixel / (EDGE * EDGE), pixel % (EDGE * EDGE));
    let (row, column) = (place / EDGE / (EDGE / CELLS), place % EDGE / (EDGE / CELLS));
    (picture * CELLS * CELLS + row * CELLS + column) * PLANES
}

fn convolution(layer: &Layer, weights: &Weights) -> Convolution {
    let weight = weights.data(&layer.weight());
    let (out, taps) = (layer.output[2], weight.len() / layer.output[2]);
    let turned = (0..weight.len()).map(|i| weight[i % out * taps + i / out]).collect();
    Convolution { weight: turned, bias: weights.data(&layer.bias()).to_vec() }
}

/// Mean of ln(1 + e^(−bit · logit)) and its gradient.
fn cross_entropy(logits: &[f32], bits: &[f32]) -> (f32, Vec<f32>) {
    let share = 1.0 / logits.len() as f32;
    let (mut loss, mut d) = (0.0, Vec::with_capacity(logits.len()));
    for (logit, bit) in logits.iter().zip(bits) {
        let margin = bit * logit;
        loss += share * ((-margin.abs()).exp().ln_1p() - margin.min(0.0));
        d.push(-share * bit / (1.0 + margin.exp()));
    }
    (loss, d)
}

/// Σ‖mean of a group‖² · `group` / Σ‖residual‖² over groups of pictures in a row, and its gradient.
pub(super) fn common(residual: &[f32], group: usize) -> (f32, Vec<f32>) {
    let len = EDGE * EDGE * 3;
    let means: Vec<f32> = residual
        .chunks_exact(group * len)
        .flat_map(|part| {
            (0..len).map(|i| (0..group).map(|k| part[k * len + i]).sum::<f32>() / group as f32)
        })
        .collect();
    let squares = |values: &[f32]| values.iter().map(|v| v * v).sum::<f32>();
    // Nothing hidden at all is nothing in common.
    let (shared, whole) = (squares(&means) * group as f32, squares(residual) + 1e-6);
    let ratio = shared / whole;
    let slope = |(i, r): (usize, &f32)| {
        let mean = means[i / (group * len) * len + i % len];
        2.0 * (mean - ratio * r) / whole
    };
    (ratio, residual.iter().enumerate().map(slope).collect())
}
