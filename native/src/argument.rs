//! Values of arguments that several sub-commands share: strings become names once, here.

use std::path::{Path, PathBuf};
use std::str::FromStr;

use serde_json::{Map, Value};
use toxiclip_shared::encoders::{ClipConfig, library};
use toxiclip_shared::registry::parse_spec;

use crate::benchmark::Encoder;
use crate::failure::{Failure, Result};

/// `name` or `name:key=value,key=value`: an attack or a defense with parameters.
#[derive(Clone, Debug, PartialEq)]
pub struct Spec {
    /// A name of the registry; not looked up yet.
    pub name: String,
    /// The given parameters.
    pub parameters: Map<String, Value>,
}

impl FromStr for Spec {
    type Err = toxiclip_shared::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (name, parameters) = parse_spec(text)?;
        Ok(Self { name, parameters })
    }
}

/// `KEY=VALUE` of `--set` and `--only`; the key may have dots (`train.epochs`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assignment {
    /// Path of the key.
    pub key: String,
    /// The value as text: numbers and lists are read where the key's type is known.
    pub value: String,
}

impl FromStr for Assignment {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.split_once('=') {
            Some((key, value)) if !key.trim().is_empty() => {
                Ok(Self { key: key.trim().to_owned(), value: value.trim().to_owned() })
            }
            _ => Err("expected KEY=VALUE"),
        }
    }
}

/// Where the work runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Device {
    /// The CPU: another device is taken where it is named, as its sums are in another order.
    #[default]
    Auto,
    /// Own operations on all threads.
    Cpu,
    /// candle's operations on the CPU: what a GPU would compute, slowly.
    Candle,
    /// candle's operations on a GPU, 0 being the first.
    Cuda(usize),
    /// Our kernels on any graphics card, for what only reads a model.
    Wgpu,
}

impl FromStr for Device {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let expected = "expected auto, cpu, cuda[:N], wgpu or candle";
        match text.split_once(':').unwrap_or((text, "")) {
            ("auto", "") => Ok(Self::Auto),
            ("cpu", "") => Ok(Self::Cpu),
            ("candle", "") => Ok(Self::Candle),
            ("cuda", "") => Ok(Self::Cuda(0)),
            ("cuda", ordinal) => ordinal.parse().map(Self::Cuda).map_err(|_| expected.to_owned()),
            ("wgpu", "") => Ok(Self::Wgpu),
            _ => Err(expected.to_owned()),
        }
    }
}

/// Where pairs come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// A registered data set, or what else a sub-command takes there (a plain folder); not looked up yet.
    Named(String),
    /// One folder per class.
    Folder(PathBuf),
    /// A CSV file with the columns `image` and `caption`.
    Table(PathBuf),
    /// Tar shards in WebDataset's form; the pattern may have brace ranges.
    Shards(String),
}

impl FromStr for Source {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.split_once(':') {
            None if !text.is_empty() => Ok(Self::Named(text.to_owned())),
            Some(("folder", dir)) if !dir.is_empty() => Ok(Self::Folder(dir.into())),
            Some(("csv", file)) if !file.is_empty() => Ok(Self::Table(file.into())),
            Some(("wds", pattern)) if !pattern.is_empty() => Ok(Self::Shards(pattern.to_owned())),
            _ => Err("expected a data set's name, folder:DIR, csv:FILE or wds:PATTERN".to_owned()),
        }
    }
}

/// Where a source lies, and how it is read.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct Place {
    /// Folder of data sets that do not come with the program.
    #[arg(long, value_name = "DIR")]
    data_root: Option<PathBuf>,
    /// Takes what is there of shards that do not end as an archive does; the same as ?truncated behind a pattern.
    #[arg(long)]
    allow_truncated: bool,
}

impl Place {
    /// Folder of data sets that do not come with the program.
    pub fn root(&self) -> Option<&Path> {
        self.data_root.as_deref()
    }

    /// The source as it is to be read.
    ///
    /// # Errors
    /// If truncation is allowed of what cannot be truncated.
    pub fn reads(&self, source: &Source) -> Result<Source> {
        match source {
            Source::Shards(pattern) if self.allow_truncated && !pattern.ends_with(TRUNCATED) => {
                Ok(Source::Shards(format!("{pattern}{TRUNCATED}")))
            }
            Source::Named(_) | Source::Folder(_) | Source::Table(_) if self.allow_truncated => {
                Err(Failure::request(
                    "--allow-truncated is about shards; give wds:PATTERN or leave it out",
                ))
            }
            whole => Ok(whole.clone()),
        }
    }

    /// Refuses what is about a source where there is none.
    ///
    /// # Errors
    /// If truncation is allowed.
    pub fn unread(&self) -> Result<()> {
        match self.allow_truncated {
            true => Err(Failure::request(
                "--allow-truncated is about shards of pictures; give --images wds:PATTERN or leave it out",
            )),
            false => Ok(()),
        }
    }
}

/// Behind a pattern of shards: one may be cut.
pub const TRUNCATED: &str = "?truncated";

/// A finished model.
#[derive(Clone, Debug, clap::Args)]
pub struct Checkpoint {
    /// The checkpoint: a folder, or a single .safetensors file beside --encoder.
    #[arg(long, value_name = "CKPT")]
    pub checkpoint: PathBuf,
    /// What a single file is the weights of; a folder says so itself.
    #[arg(long, value_name = "NAME|FILE.json")]
    pub encoder: Option<String>,
}

impl Checkpoint {
    /// The definition that was given, if one was.
    ///
    /// # Errors
    /// As [`encoder`].
    pub fn encoder(&self) -> Result<Option<ClipConfig>> {
        self.encoder.as_deref().map(encoder).transpose()
    }
}

/// AdamW's two decay rates, `B1,B2`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Betas(pub f64, pub f64);

impl FromStr for Betas {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let expected = "expected two numbers in [0, 1), such as 0.9,0.98";
        let (first, second) = text.split_once(',').ok_or(expected)?;
        let rate = |text: &str| text.trim().parse().ok().filter(|b| (0.0..1.0).contains(b));
        Ok(Self(rate(first).ok_or(expected)?, rate(second).ok_or(expected)?))
    }
}

/// The definition of a registered encoder, or of a JSON file in open_clip's form.
///
/// # Errors
/// If the name is unknown, or the file cannot be read or holds no encoder.
pub fn encoder(name: &str) -> Result<ClipConfig> {
    if !name.ends_with(".json") {
        return Ok(library::find(name)?);
    }
    let path = Path::new(name);
    let remedy = "check the path, or give a name of `toxiclip list encoders`";
    let json = std::fs::read_to_string(path).map_err(|e| Failure::absent(path, &e, remedy))?;
    Ok(ClipConfig::parse(&json, name)?)
}

/// The same with its name in rows.
///
/// # Errors
/// As [`encoder`].
pub fn named_encoder(text: &str) -> Result<Encoder> {
    Ok(Encoder::called(text, encoder(text)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn specs_and_assignments() {
        let spec: Spec = "single-label:from=ewe,rate=0.5".parse().unwrap();
        assert_eq!((spec.name.as_str(), &spec.parameters["rate"]), ("single-label", &0.5.into()));
        assert!("a:b".parse::<Spec>().is_err());
        let set: Assignment = "train.epochs = 3".parse().unwrap();
        assert_eq!((set.key.as_str(), set.value.as_str()), ("train.epochs", "3"));
        assert!("=3".parse::<Assignment>().is_err() && "epochs".parse::<Assignment>().is_err());
    }

    #[test]
    fn devices_and_sources_say_what_they_expect() {
        assert_eq!("auto".parse(), Ok(Device::Auto));
        assert_eq!("cuda".parse(), Ok(Device::Cuda(0)));
        assert_eq!("cuda:1".parse(), Ok(Device::Cuda(1)));
        for bad in ["cpu:1", "tpu", "cuda:x", "wgpu:1", ""] {
            assert!(bad.parse::<Device>().is_err(), "{bad}");
        }
        assert_eq!("emoji".parse(), Ok(Source::Named("emoji".into())));
        assert_eq!("folder:a/b".parse(), Ok(Source::Folder("a/b".into())));
        assert_eq!("csv:a/b.csv".parse(), Ok(Source::Table("a/b.csv".into())));
        assert_eq!("wds:x-{0..1}.tar".parse(), Ok(Source::Shards("x-{0..1}.tar".into())));
        for bad in ["", "folder:", "csv:", "wds:", "zip:x"] {
            assert!(bad.parse::<Source>().unwrap_err().contains("wds:PATTERN"), "{bad}");
        }
    }

    #[test]
    fn truncation_is_allowed_of_shards_alone() {
        let place = |allow_truncated| Place { data_root: None, allow_truncated };
        let shards = |pattern: &str| Source::Shards(pattern.to_owned());
        for pattern in ["x.tar", "x.tar?truncated"] {
            assert_eq!(place(true).reads(&shards(pattern)).unwrap(), shards("x.tar?truncated"));
            assert_eq!(place(false).reads(&shards(pattern)).unwrap(), shards(pattern));
        }
        for other in ["emoji", "folder:a", "csv:a.csv"] {
            let other: Source = other.parse().unwrap();
            assert_eq!(place(false).reads(&other).unwrap(), other);
            let refused = place(true).reads(&other).unwrap_err();
            assert!(refused.to_string().contains("wds:PATTERN") && refused.code() == 2);
        }
    }

    #[test]
    fn betas_stay_below_one() {
        assert_eq!("0.9,0.98".parse(), Ok(Betas(0.9, 0.98)));
        for bad in ["0.9", "0.9,1", "a,0.5", "-0.1,0.5", "nan,0.5"] {
            assert!(bad.parse::<Betas>().is_err(), "{bad}");
        }
    }
}
