//! The leaderboard as data: one JSON file, one CSV file, and what the page's scripts work on.

use serde_json::{Value, json};

use super::entries::Ranked;
use super::lanes::{Best, LANES};
use crate::report::aggregate::Estimate;
use crate::report::csv_line;

/// `leaderboard.json`: lanes, and an entry a line, so that a change shows as the line that changed.
pub(super) fn json(all: &[Ranked]) -> String {
    let lanes: Vec<Value> = LANES
        .iter()
        .map(|lane| {
            let best = if lane.best == Best::High { "high" } else { "low" };
            json!({ "id": lane.id, "question": lane.question, "metrics": lane.metrics, "best": best })
        })
        .collect();
    let entries: Vec<String> = all.iter().map(|e| entry(e).to_string()).collect();
    format!("{{\"lanes\": {},\n\"entries\": [\n{}\n]}}\n", json!(lanes), entries.join(",\n"))
}

/// What the script reads, in the order of the table's rows; nothing in it can end the element that it stands in.
pub(super) fn page_data(all: &[Ranked]) -> String {
    let lanes = LANES.iter().map(|lane| (lane.id, lane.question));
    let questions: serde_json::Map<String, Value> =
        lanes.map(|(id, question)| (id.to_owned(), question.into())).collect();
    let entries: Vec<Value> = all.iter().map(entry).collect();
    json!({ "questions": questions, "entries": entries }).to_string().replace('<', "\\u003c")
}

fn entry(e: &Ranked) -> Value {
    let estimate = |e: Option<&Estimate>| match e {
        Some(e) => json!([e.value, e.interval.lo, e.interval.hi]),
        None => Value::Null,
    };
    let worst = e.worst.as_ref().map(|worst| {
        json!({ "value": worst.value, "metric": worst.metric, "attack": worst.attack, "by": worst.by })
    });
    json!({
        "lane": e.lane.id,
        "name": e.name(),
        "opponent": e.opponent(),
        "attack": e.attack,
        "defense": e.defense,
        "metric": e.metric,
        "value": estimate(Some(&e.value)),
        "clean": estimate(e.clean.as_ref()),
        "utility": estimate(e.utility.as_ref()),
        "change": e.change(),
        "accuracy": estimate(e.accuracy.as_ref()),
        "rank": [e.place.first, e.place.last, e.place.of],
        "table": e.table,
        "worst": worst,
        "dominated": e.dominated,
        "seconds": e.seconds.map(|s| (s * 10.0).round() / 10.0),
        "held": e.held,
        "acts": e.acts,
        "year": e.year,
        "encoder": e.encoder,
        "dataset": e.dataset,
        "benchmark": e.benchmark,
        "submitter": e.submitter,
        "n": e.value.n,
        "seeds": e.value.seeds,
        "protocol": e.version(),
        "older": e.older,
        "verified": e.verified,
        "date": e.date,
        "page": e.page,
    })
}

/// `entries.csv`; what an entry does not have is an empty cell.
pub(super) fn csv(all: &[Ranked]) -> String {
    let triple = |name: &str| [name.to_owned(), format!("{name}_lo"), format!("{name}_hi")];
    let plain = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    let head = [
        plain(&["lane", "attack", "defense", "metric"]),
        triple("value").to_vec(),
        triple("clean").to_vec(),
        triple("utility").to_vec(),
        plain(&[
            "rank_first",
            "rank_last",
            "rank_of",
            "worst_known",
            "seconds",
            "clean_data",
            "n",
            "seeds",
        ]),
        plain(&["encoder", "dataset", "benchmark", "submitter", "protocol", "older", "page"]),
    ];
    let mut out = csv_line(&head.concat());
    for e in all {
        let numbers = |e: Option<&Estimate>| match e {
            Some(e) => [e.value, e.interval.lo, e.interval.hi].map(|v| v.to_string()).to_vec(),
            None => vec![String::new(); 3],
        };
        let seeds: Vec<String> = e.value.seeds.iter().map(u64::to_string).collect();
        let line = [
            vec![e.lane.id.to_owned(), e.attack.clone(), e.defense.clone(), e.metric.to_owned()],
            numbers(Some(&e.value)),
            numbers(e.clean.as_ref()),
            numbers(e.utility.as_ref()),
            [e.place.first, e.place.last, e.place.of].map(|n| n.to_string()).to_vec(),
            vec![
                e.worst.as_ref().map_or_else(String::new, |worst| worst.value.to_string()),
                e.seconds.map_or_else(String::new, |s| format!("{s:.1}")),
                e.held.map_or_else(String::new, |held| held.to_string()),
                e.value.n.to_string(),
                seeds.join(" "),
            ],
            vec![e.encoder.clone(), e.dataset.clone(), e.benchmark.clone(), e.submitter.clone()],
            vec![
                e.version(),
                e.older.as_deref().map_or_else(String::new, str::to_owned),
                e.page.clone(),
            ],
        ];
        out += &csv_line(&line.concat());
    }
    out
}

#[cfg(test)]
mod tests {
    use super::super::entries::synthetic;
    use super::*;

    #[test]
    fn what_is_written_can_be_read_and_ends_no_element() {
        let mut all = synthetic(12);
        all[0].attack = "</script><b>".to_owned();
        assert!(!page_data(&all).contains("</script"), "escaped");
        let read: Value = serde_json::from_str(&json(&all)).unwrap();
        assert_eq!(read["entries"].as_array().unwrap().len(), 12);
        assert_eq!(read["entries"][0]["attack"], "</script><b>");
        let text = csv(&all);
        let lines: Vec<usize> = text.lines().map(|line| line.split(',').count()).collect();
        assert_eq!(lines.len(), 13);
        assert!(lines.iter().all(|columns| *columns == lines[0]), "{lines:?}");
    }
}
