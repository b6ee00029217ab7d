//! Tables between two comments of README.

use std::collections::BTreeMap;

use anyhow::{Result, bail};

use crate::report::{self, aggregate::Results};

const REMEDY: &str = "`cargo xtask check-results --update` splices it";

/// What README shows of a benchmark: table, how to read it, where it comes from.
pub(super) fn block(name: &str, results: &Results) -> String {
    // `verified` has seen that there are rows, and that they agree about the program.
    let first = &results.rows[0];
    format!(
        "{}\nData set `{}`, encoder `{}`: `toxiclip run benchmarks/{name}.toml` at commit `{:.12}` ({}, {}). \
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
            bail!("README.md: `<!-- results:{name} -->` has no `{}` after it", closing(name));
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
    format!("<!-- /results:{name} -->")
}

/// Names of all opening comments.
fn names(text: &str) -> impl Iterator<Item = &str> {
    text.split("<!-- results:").skip(1).filter_map(|rest| rest.split(" -->").next())
}

/// The text between the two comments of `name`.
fn find(text: &str, name: &str) -> Option<(usize, usize)> {
    let open = format!("<!-- results:{name} -->");
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
        let tables = BTreeMap::from([("seed/one".to_owned(), "| 1 |\n".to_owned())]);
        let said = check(README, &BTreeMap::new()).unwrap();
        assert_eq!(said[0], "README.md: quick has no results yet");
        assert!(check(README, &tables).unwrap_err().to_string().contains("seed/one is stale"));
        let spliced = splice(README, "seed/one", "| 1 |\n");
        assert!(
            spliced.contains("b\n<!-- results:seed/one -->\n| 1 |\n<!-- /results:seed/one -->\nc")
        );
        assert_eq!(check(&spliced, &tables).unwrap()[1], "README.md: seed/one is fresh");
        assert_eq!(splice(&spliced, "seed/one", "| 1 |\n"), spliced);
        assert_eq!(splice(README, "other", "| 1 |\n"), README);
    }

    #[test]
    fn a_block_with_nothing_behind_it_or_without_an_end_is_an_error() {
        let spliced = splice(README, "quick", "| 2 |\n");
        let error = check(&spliced, &BTreeMap::new()).unwrap_err().to_string();
        assert!(error.contains("not published"), "{error}");
        let open = README.replace("<!-- /results:quick -->", "");
        assert!(check(&open, &BTreeMap::new()).unwrap_err().to_string().contains("has no"));
    }
}
