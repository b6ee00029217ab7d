//! The site in a real browser: Debian's Chromium, driven by playwright-core from npm; demos with tiny models, the leaderboard as
//! it is committed and with a thousand made-up entries. axe-core looks for what shuts people out.

use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use crate::apt;
use crate::step::{Outcome, cargo, command, works};
use crate::test::FEATURES;
use crate::{root, target_dir};

/// Their versions are part of what is tested.
const PACKAGES: [(&str, &str); 2] = [("playwright-core", "1.64.1"), ("axe-core", "4.14.1")];
/// Entries on which the leaderboard's page must stay fluid.
const ENTRIES: &str = "1000";

/// The step: tests, or says why it could not. `REQUIRE_BROWSER=1` makes the second an error.
pub(crate) fn test() -> Result<Outcome> {
    let ready = chromium().and_then(|chromium| Ok((chromium, packages()?)));
    let (chromium, packages) = match ready {
        Ok(ready) => ready,
        Err(why) if std::env::var_os("REQUIRE_BROWSER").is_some_and(|v| v == "1") => {
            return Err(why);
        }
        Err(why) => return Ok(Outcome::Skipped(format!("{why:#}"))),
    };
    let site = crate::www::build(true)?;
    let server = Server::of(&site)?;
    let pictures = target_dir().join("browser/pictures");
    let script = |name: &str, page: &str| {
        let mut test = Command::new("node");
        test.arg(root().join("xtask/browser").join(name));
        test.arg(format!("http://127.0.0.1:{}/{page}", server.port));
        test.arg(&packages).arg(&chromium).arg(&pictures);
        test
    };
    let synthetic = target_dir().join("browser/synthetic");
    // With the features of the tests, that have compiled it already.
    command(&mut cargo(&format!("build {FEATURES} --quiet --bin toxiclip")))?;
    let program = target_dir().join("release/toxiclip");
    let mut build = Command::new(&program);
    build.args(["leaderboard", "build", "--synthetic", ENTRIES, "--out"]);
    command(build.arg(&synthetic))?;
    command(&mut script("demo.mjs", "demo/"))?;
    command(&mut script("retrieval.mjs", "demo/retrieval.html"))?;
    let mut own = script("own.mjs", "demo/own.html");
    own.arg(&program).arg(target_dir().join("browser/own"));
    command(own.arg(root().join("shared/tests/golden/hugging_face")))?;
    let mut leaderboard = script("leaderboard.mjs", "leaderboard/");
    command(leaderboard.arg(site.join("leaderboard")).arg(synthetic))
}

fn chromium() -> Result<PathBuf> {
    let places = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"];
    let find = || places.iter().map(PathBuf::from).find(|place| place.exists());
    apt::ensure("Chromium", "chromium", || find().is_some())?;
    find().context("no Chromium")
}

/// The folder with what drives the browser and looks at pages; what is missing in it is fetched.
fn packages() -> Result<PathBuf> {
    let folder = target_dir().join("browser");
    if !works(Command::new("node").arg("--version")) {
        bail!("no node; install nodejs and npm");
    }
    let missing = |(name, _): &&(&str, &str)| !folder.join("node_modules").join(name).exists();
    if PACKAGES.iter().any(|package| missing(&package)) {
        std::fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
        let mut npm = Command::new("npm");
        npm.args(["install", "--no-audit", "--no-fund", "--no-package-lock", "--prefix"]);
        npm.arg(&folder).args(PACKAGES.map(|(name, version)| format!("{name}@{version}")));
        command(&mut npm).context("npm cannot fetch what drives the browser")?;
    }
    Ok(folder)
}

/// A site on loopback, for as long as this lives.
struct Server {
    child: Child,
    port: u16,
}

impl Server {
    fn of(site: &Path) -> Result<Self> {
        // Asked for and given back: the system does not give the same port twice in a row.
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let mut line = Command::new("python3");
        line.args(["-m", "http.server", "--bind", "127.0.0.1", &port.to_string(), "--directory"]);
        let child = line.arg(site).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
        let server = Self { child, port };
        for _ in 0..100 {
            if TcpStream::connect(("127.0.0.1", port)).is_ok() {
                return Ok(server);
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        bail!("python3's http.server does not answer on port {port}");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself; there is nobody to tell.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
