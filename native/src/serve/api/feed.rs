//! `/feed`: accepted submissions as an Atom feed.

use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use serde_json::json;

use crate::serve::answer::{Answer, typed};
use crate::serve::app::App;
use crate::serve::clock;
use crate::serve::openapi::{Operation, PREFIX, Resource};
use crate::serve::submission::{self, State as Of, Submission};

/// Submissions in the feed.
const NEWEST: usize = 50;

pub(super) fn resources() -> Vec<Resource> {
    let text = json!({"type": "string"});
    let feed = Operation {
        id: "feed",
        summary: "The newest accepted submissions, as Atom",
        good: vec![(200, "the newest first", Some(("application/atom+xml", text)))],
        ..Operation::default()
    };
    let operations = vec![("get", feed.json())];
    vec![Resource { path: "/feed", methods: get(self::feed), operations }]
}

async fn feed(State(app): State<App>) -> Answer {
    let mut accepted = submission::in_state(&app.database, Of::Accepted).await?;
    accepted.reverse();
    accepted.truncate(NEWEST);
    let text = atom(&app.settings.public_url, &accepted);
    Ok(typed(StatusCode::OK, "application/atom+xml", text))
}

fn atom(url: &str, newest: &[Submission]) -> String {
    let url = escaped(url);
    // A feed without a time is none.
    let time = |changed| clock::text(changed).unwrap_or_else(|| "1970-01-01T00:00:00Z".to_owned());
    let updated = time(newest.first().map_or(0, |first| first.changed));
    let entries: String = newest.iter().map(|one| entry(&url, one, &time(one.changed))).collect();
    format!(
        "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<feed xmlns=\"http://www.w3.org/2005/Atom\">\n\
         <id>{url}{PREFIX}/feed</id>\n<title>toxiclip: accepted results</title>\n<updated>{updated}</updated>\n\
         <author><name>toxiclip</name></author>\n<link rel=\"self\" href=\"{url}{PREFIX}/feed\"/>\n{entries}</feed>\n"
    )
}

fn entry(url: &str, one: &Submission, time: &str) -> String {
    let id = &one.id;
    // 128 bits of a generator, in the form of a UUID.
    let cut = |from: usize, to: usize| id.get(from..to).unwrap_or_default();
    let uuid = [cut(0, 8), cut(8, 12), cut(12, 16), cut(16, 20), cut(20, 32)].join("-");
    let (name, submitter) = (escaped(&one.name), escaped(&one.submitter));
    format!(
        "<entry>\n<id>urn:uuid:{uuid}</id>\n<title>{submitter}: {name}</title>\n<updated>{time}</updated>\n\
         <author><name>{submitter}</name></author>\n<link href=\"{url}{PREFIX}/submissions/{id}\"/>\n\
         <summary>sha256 {}, {} bytes</summary>\n</entry>\n",
        escaped(&one.sha256),
        one.bytes
    )
}

/// Text in XML, of the characters that XML 1.0 has.
fn escaped(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&apos;"),
            c if c.is_control() || ('\u{fffe}'..='\u{ffff}').contains(&c) => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    #[test]
    fn text_cannot_end_its_element() {
        let text = super::escaped("<script>\"&'\u{0}\u{ffff}]]>");
        assert_eq!(text, "&lt;script&gt;&quot;&amp;&apos;\u{fffd}\u{fffd}]]&gt;");
    }
}
