//! The heat map of a large matrix as a picture by itself: it brings its own ground and letters, so that it can stand in README
//! and on any page.

use maud::html;

use super::figure::number;
use super::heat::{Heat, success};
use super::lines::Line;

/// With fewer attacks or defenses a table says it.
const LEAST: usize = 6;
/// Of a cell, in pixels.
const WIDTH: f64 = 33.0;
const HEIGHT: f64 = 25.0;
/// Room for the names of rows, and for those of columns, which stand aslant.
const LEFT: f64 = 132.0;
const TOP: f64 = 140.0;
/// Room for the caption.
const BOTTOM: f64 = 70.0;

/// Attack success of every attack under every defense as an SVG file, the undefended clean model in its first column; below it
/// `note`, what a reader of the picture alone must know.
pub(crate) fn picture(lines: &[Line], note: &str) -> Option<String> {
    drawn(&with_clean(success(lines)?, lines), note)
}

fn drawn(map: &Heat, note: &str) -> Option<String> {
    if map.rows.len() < LEAST || map.columns.len() < LEAST {
        return None;
    }
    let right = LEFT + WIDTH * map.columns.len() as f64;
    let low = TOP + HEIGHT * map.rows.len() as f64;
    let (width, height) = (number(right + TOP / 2.0), number(low + BOTTOM));
    let aslant = |i: usize| {
        let (x, y) = (number(LEFT + WIDTH * (i as f64 + 0.6)), number(TOP - 8.0));
        (x.clone(), y.clone(), format!("rotate(-50 {x} {y})"))
    };
    let middle = |row: usize| number(TOP + HEIGHT * (row as f64 + 0.68));
    let svg = html! {
        svg xmlns="http://www.w3.org/2000/svg" viewBox=(format!("0 0 {width} {height}")) width=(width) height=(height)
            role="img" aria-label=(words(map)) font-family="system-ui, sans-serif" font-size="14" fill="#1b1b1b" {
            rect width="100%" height="100%" fill="#ffffff" {}
            @for (i, name) in map.columns.iter().enumerate() {
                @let (x, y, turn) = aslant(i);
                text x=(x) y=(y) transform=(turn) { (name) }
            }
            @for (row, (name, cells)) in map.rows.iter().zip(&map.cells).enumerate() {
                text x=(number(LEFT - 8.0)) y=(middle(row)) text-anchor="end" { (name) }
                @for (column, cell) in cells.iter().enumerate() {
                    @let x = LEFT + WIDTH * column as f64;
                    rect x=(number(x)) y=(number(TOP + HEIGHT * row as f64)) width=(number(WIDTH - 1.0)) height=(number(HEIGHT - 1.0)) fill=(shade(*cell)) {}
                    text x=(number(x + WIDTH / 2.0)) y=(middle(row)) text-anchor="middle" { (cell.map_or("–".to_owned(), share)) }
                }
            }
            @for (line, text) in map.caption.split("; ").chain([note]).enumerate() {
                text x="12" y=(number(low + 20.0 + 19.0 * line as f64)) fill="#555555" { (text) }
            }
        }
    };
    Some(svg.into_string() + "\n")
}

/// The map with the undefended clean model before the first defense; of the data set and encoder that it is about, the first.
fn with_clean(mut map: Heat, lines: &[Line]) -> Heat {
    let of = |line: &Line| (line.dataset.clone(), line.encoder.clone());
    let first = lines.first().map(of);
    map.columns.insert(0, "clean model".to_owned());
    for (row, cells) in map.rows.iter().zip(&mut map.cells) {
        let mut own = lines.iter().filter(|line| line.attack == *row && Some(of(line)) == first);
        let clean = own.find_map(Line::clean_success);
        cells.insert(0, clean.map(|estimate| estimate.value));
    }
    map
}

/// `.25`, and `1.0`: as wide as a cell.
fn share(value: f64) -> String {
    let text = format!("{value:.2}");
    if text == "1.00" { "1.0".to_owned() } else { text.trim_start_matches('0').to_owned() }
}

/// From white to a red on which dark letters stay readable.
fn shade(cell: Option<f64>) -> String {
    let Some(value) = cell else { return "#f2f2f2".to_owned() };
    let mix = |to: f64| (255.0 + (to - 255.0) * value.clamp(0.0, 1.0)).round() as u8;
    let [red, green, blue] = [232.0, 121.0, 84.0].map(mix);
    format!("#{red:02x}{green:02x}{blue:02x}")
}

/// The picture for whoever does not see it.
fn words(map: &Heat) -> String {
    let (rows, columns) = (map.rows.len(), map.columns.len() - 1);
    format!(
        "Attack success of {rows} attacks under {columns} defenses and in the clean model: {}",
        map.title
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn square(size: usize) -> Heat {
        let names = |what: &str| (0..size).map(|i| format!("{what}-{i}")).collect::<Vec<_>>();
        Heat {
            title: "T".into(),
            metric: "asr",
            axes: ["attack".into(), "defense".into()],
            rows: names("attack"),
            columns: names("defense"),
            cells: vec![vec![Some(0.25); size]; size],
            caption: "Asked of pictures; a mean.".into(),
        }
    }

    #[test]
    fn a_small_grid_is_no_picture_and_a_large_one_has_every_value_on_its_shade() {
        assert!(drawn(&square(LEAST - 1), "").is_none());
        let mut map = square(LEAST);
        map.cells[1][2] = None;
        let svg = drawn(&map, "seed 0").unwrap();
        let shaded = format!("fill=\"{}\"", shade(Some(0.25)));
        assert_eq!(svg.matches(">.25<").count(), LEAST * LEAST - 1);
        assert_eq!(svg.matches(&shaded).count(), LEAST * LEAST - 1);
        for line in ["Asked of pictures", "a mean.", "seed 0"] {
            assert!(svg.contains(&format!(">{line}<")), "{line}: {svg}");
        }
        assert_eq!([0.0, 0.996, 0.5].map(share), [".00", "1.0", ".50"]);
        assert_eq!([Some(0.0), Some(1.0)].map(shade), ["#ffffff", "#e87954"]);
    }
}
