//! Checks that the program compiles for NVIDIA's GPUs. No GPU is needed, only a compiler of its kernels: the machine's own, or
//! one that PyPI's wheels bring into `target/cuda`.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use crate::step::{cargo, command, works};
use crate::target_dir;

/// One version of all parts, or the compiler and its headers do not fit.
const VERSION: &str = "13.2.*";
const WHEELS: [&str; 5] = [
    "nvidia-cuda-nvcc",
    "nvidia-nvvm",
    "nvidia-cuda-crt",
    "nvidia-cuda-cccl",
    "nvidia-cuda-runtime",
];
/// The oldest GPUs that the kernels are compiled for (Ampere), unless `CUDA_COMPUTE_CAP` says otherwise.
const CAPABILITY: &str = "80";

/// The task: type-checks the feature `cuda`, whose build scripts compile all kernels on the way.
pub(crate) fn check() -> Result<()> {
    let mut line = cargo("check --release --package toxiclip --features cuda");
    line.arg("--target-dir").arg(target_dir().join("cuda-check"));
    if std::env::var_os("CUDA_COMPUTE_CAP").is_none() {
        line.env("CUDA_COMPUTE_CAP", CAPABILITY);
    }
    if !works(Command::new("nvcc").arg("--version")) {
        let home = toolkit()?;
        let mut path = vec![home.join("bin")];
        path.extend(std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()));
        line.env("PATH", std::env::join_paths(path)?).env("CUDA_HOME", home);
    }
    command(&mut line).map(drop)
}

/// The folder of a compiler from PyPI, which is fetched where it is missing.
fn toolkit() -> Result<PathBuf> {
    let place = target_dir().join("cuda");
    let home = place.join("nvidia/cu13");
    let nvcc = || Command::new(home.join("bin/nvcc"));
    if !works(nvcc().arg("--version")) {
        println!("    no nvcc is installed; taking PyPI's wheels");
        let wheels = WHEELS.iter().map(|name| format!("{name}=={VERSION}"));
        let mut pip = Command::new("python3");
        pip.args(["-m", "pip", "install", "--quiet", "--no-deps", "--upgrade", "--target"]);
        command(pip.arg(&place).args(wheels))
            .context("install the CUDA toolkit, or Debian's python3-pip")?;
    }
    ensure!(
        works(nvcc().arg("--version")),
        "{} does not run; install the CUDA toolkit and put nvcc on the PATH",
        home.join("bin/nvcc").display()
    );
    Ok(home)
}
