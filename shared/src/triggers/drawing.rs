//! The fixed picture that a layer can show: an orange cat's head, drawn from ellipses and triangles.
//!
//! Implementations lay a picture of Hello Kitty over theirs, which is not ours to give away; this one has as many
//! edges, areas and colours, and is made for this program.

use super::Canvas;

type Colour = [f32; 3];

const GREEN: Colour = [0.5, 0.8, 0.6];
const WHITE: Colour = [1.0, 1.0, 1.0];
const BLACK: Colour = [0.0, 0.0, 0.0];
const ORANGE: Colour = [1.0, 0.6, 0.1];
const BROWN: Colour = [0.6, 0.3, 0.1];

/// Centre and half axes, in edges of the picture.
type Ellipse = ([f64; 2], [f64; 2]);

const HEAD: Ellipse = ([0.5, 0.57], [0.37, 0.3]);
const EYES: [Ellipse; 2] = [([0.34, 0.58], [0.03, 0.05]), ([0.66, 0.58], [0.03, 0.05])];
const NOSE: Ellipse = ([0.5, 0.66], [0.045, 0.03]);
const MUZZLE: Ellipse = ([0.5, 0.72], [0.17, 0.12]);
const EARS: [[[f64; 2]; 3]; 2] =
    [[[0.17, 0.12], [0.16, 0.5], [0.46, 0.3]], [[0.83, 0.12], [0.84, 0.5], [0.54, 0.3]]];
const STRIPES: [[[f64; 2]; 3]; 3] = [
    [[0.5, 0.48], [0.46, 0.3], [0.54, 0.3]],
    [[0.38, 0.46], [0.34, 0.34], [0.41, 0.31]],
    [[0.62, 0.46], [0.66, 0.34], [0.59, 0.31]],
];
/// Left and right end of whiskers, mirrored, and their heights.
const WHISKERS: ([f64; 2], [f64; 3]) = ([0.04, 0.2], [0.57, 0.63, 0.69]);

/// The colour of a pixel of a square picture, taken at its centre.
pub(super) fn cat(canvas: &Canvas, x: usize, y: usize) -> Colour {
    let at = [x, y].map(|v| (v as f64 + 0.5) / canvas.edge as f64);
    let whisker = |height: &f64| {
        let from_side = at[0].min(1.0 - at[0]);
        (WHISKERS.0[0]..WHISKERS.0[1]).contains(&from_side) && (at[1] - height).abs() < 0.01
    };
    // From the top layer down.
    if within(NOSE, at) || STRIPES.iter().any(|s| inside(s, at)) {
        BROWN
    } else if EYES.iter().any(|e| within(*e, at)) || WHISKERS.1.iter().any(whisker) {
        BLACK
    } else if within(MUZZLE, at) {
        WHITE
    } else if within(HEAD, at) || EARS.iter().any(|e| inside(e, at)) {
        ORANGE
    } else {
        GREEN
    }
}

fn within((centre, half): Ellipse, at: [f64; 2]) -> bool {
    [0, 1].map(|i| ((at[i] - centre[i]) / half[i]).powi(2)).iter().sum::<f64>() <= 1.0
}

/// Whether a point is on the same side of all edges.
fn inside(corners: &[[f64; 2]; 3], at: [f64; 2]) -> bool {
    let side =
        |a: [f64; 2], b: [f64; 2]| (b[0] - a[0]) * (at[1] - a[1]) - (b[1] - a[1]) * (at[0] - a[0]);
    let sides = [0, 1, 2].map(|i| side(corners[i], corners[(i + 1) % 3]));
    sides.iter().all(|s| *s >= 0.0) || sides.iter().all(|s| *s <= 0.0)
}
