//! Golden values from PyTorch and open_clip: made anew, or checked against a fresh computation and the real open_clip.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use crate::step::{cargo, command, works};
use crate::{root, target_dir};

const FOLDER: &str = "shared/tests/golden";

/// Encoders whose checkpoints open_clip must load; `tiny-resnet` is an extension that it does not know.
const CHECKPOINTS: &[&str] = &["tiny-rn", "tiny-vit"];

/// Makes the committed files anew, or with `check` recomputes and compares them, writes checkpoints with
/// random weights and compares open_clip's embeddings of them with ours.
pub(crate) fn run(check: bool) -> Result<()> {
    let python = python()?;
    let script = |name: &str| {
        let mut line = Command::new(&python);
        line.arg(format!("{FOLDER}/{name}.py"));
        line
    };
    for name in ["encoders", "hugging_face", "clip_tokens"] {
        command(script(name).args(check.then_some("--check")))?;
    }
    if !check {
        return Ok(());
    }
    let out = target_dir().join("golden");
    let mut directories: Vec<PathBuf> = Vec::new();
    for encoder in CHECKPOINTS {
        let directory = out.join(encoder);
        let line =
            "run --release -p toxiclip-shared --features cpu,emoji,text --example export_random --";
        command(cargo(line).arg(encoder).arg(&directory))?;
        directories.push(directory);
    }
    command(script("checkpoints").args(directories)).map(drop)
}

/// `TOXICLIP_PYTHON`, or the repository's own environment, which is made and filled when it is missing.
pub(crate) fn python() -> Result<PathBuf> {
    if let Some(python) = std::env::var_os("TOXICLIP_PYTHON").map(PathBuf::from) {
        ensure!(
            has_packages(&python),
            "TOXICLIP_PYTHON={} cannot import what {FOLDER}/requirements.txt names",
            python.display()
        );
        return Ok(python);
    }
    let environment = root().join(".venv");
    let python = environment.join("bin/python");
    if !has_packages(&python) {
        command(Command::new("python3").args(["-m", "venv"]).arg(&environment))
            .context("install Debian's python3-venv, or set TOXICLIP_PYTHON")?;
        let requirements = format!("{FOLDER}/requirements.txt");
        command(Command::new(&python).args(["-m", "pip", "install", "-r", &requirements]))?;
    }
    Ok(python)
}

fn has_packages(python: &Path) -> bool {
    works(
        Command::new(python)
            .args(["-c", "import torch, open_clip, transformers, safetensors, numpy, emoji"]),
    )
}
