//! The definitions in `benchmarks/encoders/`, compiled in: what `--encoder NAME` may name.

use super::{Clip, ClipConfig};
use crate::graph::ParamSpec;
use crate::registry::unknown;
use crate::{Error, Result};

macro_rules! encoders {
    ($($name:literal),* $(,)?) => {
        &[$(($name, include_str!(concat!("../../../benchmarks/encoders/", $name, ".json")))),*]
    };
}

/// Name and JSON text of every definition in the repository, sorted by name.
pub static ENCODERS: &[(&str, &str)] = encoders![
    "rn101",
    "rn50",
    "rn50x4",
    "small-clip",
    "tiny-resnet",
    "tiny-rn",
    "tiny-vit",
    "vit-b-16",
    "vit-b-32",
    "vit-l-14",
];

/// Behind a name: the same towers with QuickGELU, which is how open_clip names what OpenAI's weights need.
const QUICK_GELU: &str = "-quickgelu";

/// Parameters that tests can walk through in seconds.
const SMALL: usize = 20_000_000;

/// Names of the definitions that a test can train. The others are larger members of the same families.
pub fn small() -> impl Iterator<Item = &'static str> {
    let is_small = |json: &str| {
        let config = ClipConfig::parse(json, "encoder").ok();
        let params = config.map(|c| Clip::build(&c).params());
        params.is_some_and(|all| all.iter().map(ParamSpec::len).sum::<usize>() < SMALL)
    };
    ENCODERS.iter().filter(move |(_, json)| is_small(json)).map(|(name, _)| *name)
}

/// The checked definition of that name; `NAME-quickgelu` is NAME with QuickGELU in place of GELU.
///
/// # Errors
/// If there is none; the message names the nearest one and lists all.
pub fn find(name: &str) -> Result<ClipConfig> {
    let stem = name.strip_suffix(QUICK_GELU).unwrap_or(name);
    let Some((_, json)) = ENCODERS.iter().find(|(known, _)| *known == stem) else {
        let names: Vec<&str> = ENCODERS.iter().map(|(known, _)| *known).collect();
        return Err(Error::Request(unknown("encoder", stem, &names)));
    };
    let config = ClipConfig::parse(json, &format!("{stem}.json"))?;
    Ok(ClipConfig { quick_gelu: config.quick_gelu || stem != name, ..config })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Size of the vocabulary that open_clip has built in.
    const OPENAI_TOKENS: usize = 49_408;

    #[test]
    fn list_and_folder_agree() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../benchmarks/encoders");
        let mut files: Vec<String> = std::fs::read_dir(folder)
            .unwrap()
            .filter_map(|f| {
                f.unwrap().file_name().to_str().unwrap().strip_suffix(".json").map(str::to_owned)
            })
            .collect();
        files.sort();
        let names: Vec<&str> = ENCODERS.iter().map(|(name, _)| *name).collect();
        assert_eq!(names, files, "shared/src/encoders/library.rs and benchmarks/encoders differ");
    }

    #[test]
    fn every_definition_builds() {
        for (name, _) in ENCODERS {
            let config = find(name).unwrap();
            let clip = Clip::build(&config);
            assert_eq!(clip.image.embed_dim(), config.embed_dim, "{name}");
            assert_eq!(clip.text.embed_dim(), config.embed_dim, "{name}");
            // A checkpoint's own tokenizer is only read by open_clip when this key is set.
            let own = config.text_cfg.hf_tokenizer_name.is_some_and(|t| !t.is_empty());
            assert_eq!(own, config.text_cfg.vocab_size != OPENAI_TOKENS, "{name}");
        }
    }

    #[test]
    fn the_large_ones_are_not_small() {
        let small: Vec<&str> = small().collect();
        assert_eq!(small, ["small-clip", "tiny-resnet", "tiny-rn", "tiny-vit"]);
    }

    #[test]
    fn the_activation_is_part_of_the_name() {
        let [plain, quick] = ["vit-b-16", "vit-b-16-quickgelu"].map(|name| find(name).unwrap());
        assert!(!plain.quick_gelu && quick.quick_gelu);
        assert_eq!(ClipConfig { quick_gelu: false, ..quick }, plain);
    }

    #[test]
    fn near_names_are_suggested() {
        let error = find("tiny-vitt").unwrap_err().to_string();
        assert!(error.contains("did you mean `tiny-vit`?"), "{error}");
    }
}
