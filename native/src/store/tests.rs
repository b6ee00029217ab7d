use std::sync::{Arc, Barrier, Mutex};

use super::*;

fn key(text: &str) -> Digest {
    Digest::of_bytes(text.as_bytes())
}

fn store(dir: &Path) -> Store {
    Store::open(Some(dir.to_owned())).unwrap().with_notices(|_| {})
}

fn write(dir: &Path, text: &str) -> Result<()> {
    fs::create_dir_all(dir.join("deep")).unwrap();
    write_atomic(&dir.join("deep/result"), text.as_bytes())
}

fn read(dir: &Path) -> String {
    fs::read_to_string(dir.join("deep/result")).unwrap()
}

#[test]
fn a_stage_is_computed_once_and_found_by_another_store() {
    let dir = tempfile::tempdir().unwrap();
    let (first, second) = (store(dir.path()), store(dir.path()));
    let made = first.stage("train", key("a"), 1, |work| write(work, "weights")).unwrap();
    let found = second.stage("train", key("a"), 1, |_| panic!("computed twice")).unwrap();
    assert_eq!((made, read(&found).as_str()), (found.clone(), "weights"));
    assert_eq!(first.counts(), Counts { computed: 1, reused: 0 });
    assert_eq!(second.counts(), Counts { computed: 0, reused: 1 });
    assert!(Store::size(dir.path()) > 7, "result and list are counted");
    assert!(!found.with_extension("partial").exists());
}

#[test]
fn key_stage_and_version_all_count() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(dir.path());
    for (stage, input, version) in [("a", "x", 1), ("b", "x", 1), ("a", "y", 1), ("a", "x", 2)] {
        store.stage(stage, key(input), version, |work| write(work, "r")).unwrap();
    }
    assert_eq!(store.counts().computed, 4);
}

#[test]
fn concurrent_runs_compute_once() {
    let dir = tempfile::tempdir().unwrap();
    let (inside, waiting) = (Arc::new(Barrier::new(2)), Arc::new(Mutex::new(Vec::new())));
    let notices = waiting.clone();
    let second = Store::open(Some(dir.path().to_owned())).unwrap();
    // The notice is what lets the first go on: it can be sent only while the lock is held.
    let (gate, first) = (inside.clone(), store(dir.path()));
    let second = second.with_notices(move |line| {
        notices.lock().unwrap().push(line.to_owned());
        gate.wait();
    });
    let started = Barrier::new(2);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            first.stage("train", key("a"), 1, |work| {
                started.wait();
                inside.wait();
                write(work, "by the first")
            })
        });
        started.wait();
        let found = second.stage("train", key("a"), 1, |_| panic!("computed twice")).unwrap();
        assert_eq!(read(&found), "by the first");
    });
    assert_eq!(waiting.lock().unwrap().len(), 1, "one line says what it waits for");
    assert_eq!(second.counts(), Counts { computed: 0, reused: 1 });
}

#[test]
fn a_damaged_entry_is_computed_again() {
    type Damage = fn(&Path);
    let damages: [(&str, Damage); 5] = [
        ("deep/result has changed", |d| fs::write(d.join("deep/result"), "weighty").unwrap()),
        ("deep/result is missing", |d| fs::remove_file(d.join("deep/result")).unwrap()),
        ("malformed", |d| fs::write(d.join("stage.json"), "{").unwrap()),
        ("unreadable", |d| fs::remove_file(d.join("stage.json")).unwrap()),
        ("does not name", |d| fs::write(d.join("stranger"), "").unwrap()),
    ];
    for (expected, damage) in damages {
        let dir = tempfile::tempdir().unwrap();
        let lines = Arc::new(Mutex::new(Vec::new()));
        let sink = lines.clone();
        let store = Store::open(Some(dir.path().to_owned()))
            .unwrap()
            .with_notices(move |line| sink.lock().unwrap().push(line.to_owned()));
        let make = || store.stage("s", key("a"), 1, |work| write(work, "weights")).unwrap();
        damage(&make());
        assert_eq!(read(&make()), "weights");
        assert_eq!(store.counts().computed, 2, "{expected}");
        let lines = lines.lock().unwrap();
        assert!(lines.len() == 1 && lines[0].contains(expected), "{lines:?}");
        let left = fs::read_dir(dir.path().join("s")).unwrap().count();
        assert_eq!(left, 2, "the entry and its lock; nothing is left aside");
    }
}

#[test]
fn unfinished_work_survives_and_its_checkpoints_go_when_it_is_sealed() {
    let dir = tempfile::tempdir().unwrap();
    let killed = store(dir.path()).stage("s", key("a"), 1, |work| {
        fs::create_dir(work.join(RESUME)).unwrap();
        fs::write(work.join(RESUME).join("step"), "41").unwrap();
        Err(Failure::Interrupted)
    });
    assert!(matches!(killed, Err(Failure::Interrupted)));
    let done = store(dir.path())
        .stage("s", key("a"), 1, |work| {
            assert_eq!(fs::read_to_string(work.join(RESUME).join("step")).unwrap(), "41");
            write(work, "weights")
        })
        .unwrap();
    assert!(!done.join(RESUME).exists());
}

#[test]
fn a_kill_between_sealing_and_renaming_costs_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(dir.path());
    let done = store.stage("s", key("a"), 1, |work| write(work, "weights")).unwrap();
    fs::rename(&done, done.with_extension("partial")).unwrap();
    store.stage("s", key("a"), 1, |_| panic!("computed twice")).unwrap();
    assert_eq!(read(&done), "weights");
}

#[test]
fn a_private_store_ends_with_its_owner() {
    let store = Store::open(None).unwrap();
    let dir = store.dir().to_owned();
    store.stage("s", key("a"), 1, |work| write(work, "r")).unwrap();
    drop(store);
    assert!(!dir.exists());
}

#[test]
fn a_folder_that_cannot_be_made_is_one_line_with_a_remedy() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    fs::write(&file, "").unwrap();
    let Err(failure) = Store::open(Some(file.join("cache"))) else { panic!("opened below a file") };
    let text = failure.to_string();
    assert!(text.contains("file/cache") && text.contains("--cache"), "{text}");
    assert_eq!(failure.code(), 2);
}

#[test]
fn a_read_only_cache_still_serves_what_it_has() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(dir.path());
    store.stage("s", key("a"), 1, |work| write(work, "r")).unwrap();
    fs::remove_file(store.stage("s", key("a"), 1, |_| Ok(())).unwrap().with_extension("lock"))
        .unwrap();
    // A folder in the lock's place refuses to be opened for writing, even for root.
    let done = store.stage("s", key("a"), 1, |_| panic!("computed twice")).unwrap();
    fs::create_dir(done.with_extension("lock")).unwrap();
    store.stage("s", key("a"), 1, |_| panic!("computed twice")).unwrap();
    fs::write(done.join("deep/result"), "changed").unwrap();
    // The first process has checked the entry before and does not read it again.
    store.stage("s", key("a"), 1, |_| panic!("computed twice")).unwrap();
    let store = self::store(dir.path());
    let failure = store.stage("s", key("a"), 1, |_| Ok(())).unwrap_err();
    assert!(failure.to_string().contains(".lock"), "{failure}");
}
