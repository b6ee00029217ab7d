//! The writing that a layer can show: one word in rows that step aside, red on nothing.
//!
//! Perturb and Recover lay a red watermark of text over their pictures and show nothing where it is black. Theirs is a
//! picture; this one is drawn from cells, so that it has the same words at every size: 32 cells along an edge, each row
//! of 8 a quarter of the picture further left than the one above.

use super::Canvas;

/// Cells along an edge.
const CELLS: usize = 32;
/// Cells of a letter with the gap after it, and of a row with the gap below it.
const CELL: [usize; 2] = [6, 8];
/// Letters of "TOXIC": seven rows of five cells, the leftmost in the highest bit.
const WORD: [[u8; 7]; 5] = [
    [0b11111, 0b00100, 0b00100, 0b00100, 0b00100, 0b00100, 0b00100],
    [0b01110, 0b10001, 0b10001, 0b10001, 0b10001, 0b10001, 0b01110],
    [0b10001, 0b10001, 0b01010, 0b00100, 0b01010, 0b10001, 0b10001],
    [0b01110, 0b00100, 0b00100, 0b00100, 0b00100, 0b00100, 0b01110],
    [0b01110, 0b10001, 0b10000, 0b10000, 0b10000, 0b10001, 0b01110],
];

/// The colour of a pixel of a square picture where there is ink, taken at its centre.
pub(super) fn watermark(canvas: &Canvas, x: usize, y: usize) -> Option<[f32; 3]> {
    let [column, row] = [x, y].map(|v| (2 * v + 1) * CELLS / (2 * canvas.edge));
    let along = (column + row / CELL[1] * CELLS / 4) % CELLS;
    let bit = 4_usize.checked_sub(along % CELL[0])?;
    let letter = WORD.get(along / CELL[0])?;
    let line = letter.get(row % CELL[1])?;
    (line >> bit & 1 == 1).then_some([1.0, 0.0, 0.0])
}
