//! kill -9 at random moments while bundles are uploaded, verified and accepted: nothing accepted is lost, nothing half done shows.
//!
//! `TOXICLIP_KILLS=50 cargo test --release -p toxiclip --features serve --test serve kills -- --nocapture` kills 50 times;
//! without the variable it is 3 times.

use std::collections::BTreeMap;
use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, RwLock};
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use toxiclip_shared::digest::Digest;
use toxiclip_shared::seed::Seed;

use crate::bundle::with_rows;
use crate::server::{Reply, Server, bearer, exchange, upload};

/// Bundles that are downloaded and compared after a kill; rows, folders and entries are looked at in all.
const NEWEST: usize = 10;

/// What the work has been told by answers that it read to their end.
struct Known {
    /// Bundles by submission.
    sent: BTreeMap<String, Vec<u8>>,
    accepted: Vec<String>,
}

#[test]
fn kills_lose_nothing_that_was_accepted_and_show_nothing_half_done() {
    let kills: u32 = std::env::var("TOXICLIP_KILLS").map_or(3, |text| text.parse().unwrap());
    let mut server = Server::start(&["--token-rate", "1000000", "--address-rate", "1000000"]);
    let token = server.submitter("ada");
    // Kills come so often that some verifications end and some do not.
    let before = server.submit(&token, "before", &bundle(0));
    assert_eq!(server.settled(&before)["state"], "verified");
    // One is accepted whatever comes, so that no round looks at nothing.
    assert_eq!(server.accept(&before).status, 200);
    let start = Instant::now();
    let second = server.submit(&token, "also-before", &bundle(1));
    assert_eq!(server.settled(&second)["state"], "verified");
    let most = usize::try_from(start.elapsed().as_millis()).unwrap() * 5 / 2;
    println!("a bundle takes {:?}", start.elapsed());
    let address = Arc::new(RwLock::new(server.address.clone()));
    let sent = BTreeMap::from([(before.clone(), bundle(0))]);
    let known = Arc::new(Mutex::new(Known { sent, accepted: vec![before] }));
    let over = Arc::new(AtomicBool::new(false));
    let worker = {
        let (address, known, over) = (Arc::clone(&address), Arc::clone(&known), Arc::clone(&over));
        let (admin, token) = (server.admin.clone(), token.clone());
        std::thread::spawn(move || work(&Client { address, admin, token }, &known, &over))
    };
    let mut stream = Seed::new(0).child("tests/serve/kills").stream();
    let mut seen: BTreeMap<&str, u32> = BTreeMap::new();
    for round in 0..kills {
        sleep(Duration::from_millis(50 + stream.below(most) as u64));
        server.kill();
        for state in states(&server) {
            *seen.entry(state).or_default() += 1;
        }
        server.restart();
        address.write().unwrap().clone_from(&server.address);
        invariants(&server, &known.lock().unwrap(), round);
    }
    over.store(true, Ordering::Relaxed);
    worker.join().unwrap();
    let known = known.lock().unwrap();
    for id in known.sent.keys() {
        assert_ne!(server.settled(id)["state"], "refused", "no honest bundle was refused");
    }
    invariants(&server, &known, kills);
    println!(
        "{kills} kills, {} bundles sent, {} accepted; folders with something in them: {seen:?}",
        known.sent.len(),
        known.accepted.len()
    );
}

/// Which folders of work had something in them when it was killed.
fn states(server: &Server) -> Vec<&'static str> {
    let some = |name: &&str| fs::read_dir(server.data.join(name)).unwrap().next().is_some();
    ["incoming", "work", "checked"].into_iter().filter(some).collect()
}

fn invariants(server: &Server, known: &Known, round: u32) {
    // The worker's last request may be accepted meanwhile: whatever is listed now is among the entries that are read after it.
    let listed = listed(server);
    let entries = server.entries();
    let shown = |id: &str| entries.iter().filter(|entry| entry["submission"] == id).count();
    let whole = known.accepted.first().map(|id| shown(id));
    for id in &known.accepted {
        assert_eq!(Some(shown(id)), whole, "round {round}: all entries of {id}, as of every other");
    }
    for id in known.accepted.iter().rev().take(NEWEST) {
        assert_eq!(server.look(id)["state"], "accepted", "round {round}");
        let bundle = server.get(&format!("/api/v1/submissions/{id}/bundle"), "");
        assert!(bundle.status == 200 && bundle.body == known.sent[id], "round {round}");
    }
    // Also those whose acceptance nobody heard of are whole, or not shown at all.
    for one in &listed {
        let id = one["id"].as_str().unwrap();
        let folder = server.data.join("accepted/ada").join(one["name"].as_str().unwrap());
        assert_eq!(fs::read_to_string(folder.join("submission")).unwrap(), id);
        assert!(one["state"] == "accepted" && shown(id) > 0, "round {round}: {one}");
        assert!(whole.is_none_or(|n| n == shown(id)), "round {round}");
    }
    for one in listed.iter().rev().take(NEWEST) {
        let path = format!("/api/v1/submissions/{}/bundle", one["id"].as_str().unwrap());
        let bundle = server.get(&path, "");
        assert_eq!(json!(Digest::of_bytes(&bundle.body)), one["sha256"], "round {round}");
    }
    // Folders are there before they are listed; what is on its way arrives.
    let folders = || fs::read_dir(server.data.join("accepted/ada")).map_or(0, Iterator::count);
    let settled = (0..50).any(|turn| {
        sleep(Duration::from_millis(20 * turn));
        folders() == self::listed(server).len()
    });
    assert!(settled, "round {round}: {} folders, {} listed", folders(), self::listed(server).len());
}

/// All that is shown to everybody, page after page.
fn listed(server: &Server) -> Vec<Value> {
    let (mut all, mut after) = (Vec::new(), String::new());
    loop {
        let page = server.get(&format!("/api/v1/submissions?state=accepted{after}"), "").json();
        all.extend(page["submissions"].as_array().unwrap().iter().cloned());
        let Some(next) = page["next"].as_str() else { return all };
        after = format!("&after={next}");
    }
}

struct Client {
    address: Arc<RwLock<String>>,
    admin: String,
    token: String,
}

impl Client {
    /// Asks until somebody answers, as people do.
    fn ask(&self, method: &str, path: &str, headers: &[String], body: &[u8]) -> Reply {
        loop {
            let address = self.address.read().unwrap().clone();
            match exchange(&address, method, path, headers, body) {
                Ok(reply) => return reply,
                Err(_) => sleep(Duration::from_millis(20)),
            }
        }
    }

    fn post(&self, path: &str, token: &str, body: &Value) -> Reply {
        let headers = [bearer(token), vec!["content-type: application/json".to_owned()]].concat();
        self.ask("POST", path, &headers, body.to_string().as_bytes())
    }

    fn send(&self, id: &str, bytes: &[u8]) {
        let path = format!("/api/v1/submissions/{id}/content");
        loop {
            let head = self.ask("HEAD", &path, &bearer(&self.token), &[]);
            let here: usize = head.header("upload-offset").unwrap().parse().unwrap();
            if here == bytes.len() {
                // The last bytes may be there without having been compared: an empty piece brings that about.
                let end =
                    self.ask("PATCH", &path, &[bearer(&self.token), upload(here)].concat(), &[]);
                assert!([204, 409].contains(&end.status), "{end:?}");
                return;
            }
            // In small pieces, so that kills fall between and within them.
            let part = &bytes[here..bytes.len().min(here + 20_000)];
            let sent =
                self.ask("PATCH", &path, &[bearer(&self.token), upload(here)].concat(), part);
            assert!([204, 400, 409].contains(&sent.status), "{sent:?}");
        }
    }
}

fn work(client: &Client, known: &Mutex<Known>, over: &AtomicBool) {
    let mut number = 1;
    while !over.load(Ordering::Relaxed) {
        number += 1;
        let bytes = bundle(number);
        let announced = json!({"name": format!("run-{number}"), "bytes": bytes.len(), "sha256": Digest::of_bytes(&bytes)});
        let made = client.post("/api/v1/submissions", &client.token, &announced);
        let id = made.json()["id"].as_str().unwrap().to_owned();
        known.lock().unwrap().sent.insert(id.clone(), bytes.clone());
        client.send(&id, &bytes);
        let path = format!("/api/v1/submissions/{id}");
        let state = loop {
            let seen = client.ask("GET", &path, &bearer(&client.admin), &[]).json();
            let state = seen["state"].as_str().unwrap().to_owned();
            if !["queued", "verifying"].contains(&state.as_str()) || over.load(Ordering::Relaxed) {
                break state;
            }
            sleep(Duration::from_millis(20));
        };
        if state == "verified" {
            let done = client.post(
                &format!("{path}/accept"),
                &client.admin,
                &json!({"acknowledge_skipped": true}),
            );
            // A second try after a kill may find it done.
            assert!(done.status == 200 || done.code() == "state", "{done:?}");
            known.lock().unwrap().accepted.push(id);
        }
    }
}

/// Honest results of their own: another time was taken.
fn bundle(number: u32) -> Vec<u8> {
    with_rows(|rows| rows.iter_mut().for_each(|row| row["seconds"] = json!(f64::from(number))))
}
