//! Tables between two comments of README: `<!-- results:NAME -->` … `<!-- /results:NAME -->`, and likewise `catalogue:KIND`.
//! A block goes by the words between `<!-- ` and ` -->`.

use std::collections::BTreeMap;

use anyhow::{Result, bail};

use super::Published;
use crate::report::{self, aggregate::Results};

const REMEDY: &str = "`cargo xtask check-results --update` splices it";

/// What README shows of a benchmark: table, how to read it, where it comes from.
pub(super) fn block(name: &str, published: &Published) -> String {
    let results = &published.results;
    // `verified` has seen that there are rows, and that they agree about the program.
    let first = &results.rows[0];
    let without = published.left_out().map_or_else(String::new, |text| format!(", {text}"));
    format!(
        "{}\nData set `{}`, encoder `{}`: `toxiclip run benchmarks/{name}.toml` at commit `{:.12}` ({}, {}){without}. \
         [Rows and evidence](benchmarks/results/toxiclip/{name}).\n",
        report::markdown_table(results),
        distinct(results, |row| &row.dataset),
        distinct(results, |row| &row.encoder),
        first.code.commit,
        first.code.rustc.split(" (").next().unwrap_or_default(),
        first.machine,
    )
}

fn distinct(results: &Results, of: fn(&crate::row::Row) -> &String) -> String {
    let mut names: Vec<&str> = results.rows.iter().map(|row| of(row).as_str()).collect();
    names.sort_unstable();
    names.dedup();
    names.join("`, `")
}

/// README with the block of `name` replaced; unchanged if it does not show it.
pub(super) fn splice(text: &str, name: &str, block: &str) -> String {
    match find(text, name) {
        Some((start, end)) => format!("{}\n{block}{}", &text[..start], &text[end..]),
        None => text.to_owned(),
    }
}

/// Compares every block of README with its table. A block that is empty waits for its first results.
///
/// # Errors
/// If a block differs, is not closed, or shows what is not published.
pub(super) fn check(text: &str, tables: &BTreeMap<String, String>) -> Result<Vec<String>> {
    let mut said = Vec::new();
    for name in names(text) {
        let Some((start, end)) = find(text, name) else {
            bail!("README.md: `<!-- {name} -->` has no `{}` after it", closing(name));
        };
        let shown = text[start..end].trim_start_matches('\n');
        match tables.get(name) {
            Some(table) if shown == table => said.push(format!("README.md: {name} is fresh")),
            Some(_) => bail!("README.md: the table of {name} is stale; {REMEDY}"),
            None if shown.is_empty() => said.push(format!("README.md: {name} has no results yet")),
            None => bail!("README.md: it shows results of {name}, which are not published"),
        }
    }
    Ok(said)
}

fn closing(name: &str) -> String {
    format!("<!-- /{name} -->")
}

/// Names of all opening comments.
fn names(text: &str) -> impl Iterator<Item = &str> {
    let opening = |word: &&str| word.starts_with("results:") || word.starts_with("catalogue:");
    text.split("<!-- ").filter_map(|rest| rest.split(" -->").next()).filter(opening)
}

/// The text between the two comments of `name`.
fn find(text: &str, name: &str) -> Option<(usize, usize)> {
    let open = format!("<!-- {name} -->");
    let start = text.find(&open)? + open.len();
    Some((start, start + text[start..].find(&closing(name))?))
}

#[cfg(test)]
mod tests {
    use super::*;

    const README: &str = "a\n<!-- results:quick -->\n<!-- /results:quick -->\nb\n<!-- results:seed/one -->\n\
                          <!-- /results:seed/one -->\nc\n";

    #[test]
    fn blocks_are_spliced_by_name_and_then_fresh() {
        let tables = BTreeMap::from([("results:seed/one".to_owned(), "| 1 |\n".to_owned())]);
        let said = check(README, &BTreeMap::new()).unwrap();
        assert_eq!(said[0], "README.md: results:quick has no results yet");
        assert!(
            check(README, &tables).unwrap_err().to_string().contains("results:seed/one is stale")
        );
        let spliced = splice(README, "results:seed/one", "| 1 |\n");
        assert!(
            spliced.contains("b\n<!-- results:seed/one -->\n| 1 |\n<!-- /results:seed/one -->\nc")
        );
        assert_eq!(check(&spliced, &tables).unwrap()[1], "README.md: results:seed/one is fresh");
        assert_eq!(splice(&spliced, "results:seed/one", "| 1 |\n"), spliced);
        assert_eq!(splice(README, "results:other", "| 1 |\n"), README);
    }

    #[test]
    fn a_block_with_nothing_behind_it_or_without_an_end_is_an_error() {
        let spliced = splice(README, "results:quick", "| 2 |\n");
        let error = check(&spliced, &BTreeMap::new()).unwrap_err().to_string();
        assert!(error.contains("not published"), "{error}");
        let open = README.replace("<!-- /results:quick -->", "");
        assert!(check(&open, &BTreeMap::new()).unwrap_err().to_string().contains("has no"));
    }
}
