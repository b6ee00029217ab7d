//! `report.html` and `report.md` from run directories: rows, evidence, and the extras of the pipeline.
//!
//! Measuring and reporting are joined only by files, so that a report can be made anywhere and again.

pub mod aggregate;
mod axes;
mod compare;
mod comparisons;
mod curves;
pub mod extras;
mod figure;
mod finding;
mod heat;
mod heat_picture;
mod histogram;
pub mod lines;
mod map;
mod markdown;
mod methods;
mod missing;
mod mixtures;
pub mod numbers;
mod page;
mod ranking;
mod results_table;
mod scatter;
mod strips;
mod sweep;
mod sweep_plot;

pub(crate) use figure::csv_line;
pub(crate) use heat_picture::picture as heat_picture;
pub(crate) use strips::pair;

use std::path::{Path, PathBuf};

use anyhow::Result;
use maud::{Markup, html};
use toxiclip_shared::metrics::Metric;

use self::aggregate::Results;
use self::extras::ReportExtras;
use self::lines::Line;
use self::page::Content;
use crate::failure::Failure;
use crate::files::write_whole;

/// The largest page that is still comfortable to send and open.
const LIMIT: usize = 3_000_000;

/// How a report is made.
#[derive(Clone, Debug, Default)]
pub struct ReportOptions {
    /// Go on where rows are not comparable (several commits, versions of the data, protocols; modified sources); the
    /// report says so.
    pub allow_mixed: bool,
    /// Path of the HTML file; `report.html` in the first run directory by default. The Markdown file
    /// lies beside it, with the ending `.md`.
    pub out: Option<PathBuf>,
}

/// What a report says, and where it is.
#[derive(Clone, Debug)]
pub struct Finding {
    /// The finding in one or two sentences of words and numbers.
    pub sentence: String,
    /// The table for the terminal, from the same aggregation (see [`crate::table`]).
    pub table: String,
    /// The page.
    pub html: PathBuf,
    /// The Markdown file.
    pub markdown: PathBuf,
    /// What a reader must know; printed in the report too.
    pub notes: Vec<String>,
}

/// Table and footnote in Markdown, as [`write`] puts them into its file; without the names of data set and encoder
/// where there is one of each.
pub fn markdown_table(results: &Results) -> String {
    let lines = lines::lines(results);
    let several =
        lines.iter().any(|l| (&l.dataset, &l.encoder) != (&lines[0].dataset, &lines[0].encoder));
    format!("{}\n{}\n", markdown::table(&lines, several), results_table::footnote(&lines))
}

/// Lines as a table in HTML with its footnote; `definitions` is the page whose [`definition`]s it links to.
pub fn html_table(lines: &[Line], definitions: &str) -> Markup {
    html! {
        (results_table::table(lines, definitions))
        p.foot { (results_table::footnote(lines)) }
    }
}

/// A metric in a list of definitions, with the anchor that tables link to.
pub fn definition(metric: &Metric) -> Markup {
    methods::definition(metric)
}

/// The style of all pages.
pub fn style() -> &'static str {
    page::STYLE
}

/// Makes the report of one or several run directories.
///
/// # Errors
/// If there are no rows, values contradict each other or their evidence, or the files cannot be written.
pub fn write(run_dirs: &[&Path], options: &ReportOptions) -> Result<Finding> {
    // Whatever is wrong with them, nothing has been written yet.
    let unfit = |e: anyhow::Error| Failure::request(format!("{e:#}"));
    let mut results = Results::load(run_dirs, options.allow_mixed).map_err(unfit)?;
    let all = run_dirs.iter().map(|dir| extras::read(dir)).collect::<Result<Vec<_>>>()?;
    let mixed = mixtures::refuse_protocols(&all, options.allow_mixed).map_err(unfit)?;
    results.notes.extend(mixed);
    let mut extras = ReportExtras::default();
    all.into_iter().for_each(|own| extras.join(own));
    let families = comparable(&mut results, options.allow_mixed);
    let html = options.out.clone().unwrap_or_else(|| run_dirs[0].join("report.html"));
    let markdown = html.with_extension("md");
    let lines = lines::lines(&results);
    let sentence = finding::sentence(&lines, &extras);
    let content = Content {
        results: &results,
        lines: &lines,
        extras: &extras,
        families: &families,
        finding: &sentence,
    };
    let page = page::render(&content).into_string();
    let text = markdown::render(&content);
    if page.len() > LIMIT {
        let size = page.len() as f64 / 1e6;
        results
            .notes
            .push(format!("the page has {size:.1} MB; fewer pictures would make it lighter"));
    }
    let table = crate::table::render(&results);
    write_whole(&html, page.as_bytes())?;
    write_whole(&markdown, text.as_bytes())?;
    Ok(Finding { sentence, table, html, markdown, notes: results.notes })
}

/// The paired comparisons, unless the rows are unfit for them and nobody insists.
fn comparable(results: &mut Results, allow_mixed: bool) -> Vec<compare::Family> {
    match mixtures::unfit(&results.rows) {
        Some(why) if !allow_mixed => {
            results.notes.push(format!(
                "models are not compared: {why}; commit and run again, or say --allow-mixed"
            ));
            Vec::new()
        }
        Some(why) => {
            results.notes.push(format!("models are compared all the same: {why}"));
            compare::families(results)
        }
        None => compare::families(results),
    }
}
