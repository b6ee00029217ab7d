//! The definitions in `benchmarks/encoders/`, compiled in: what `--encoder NAME` may name.

use super::ClipConfig;
use crate::registry::unknown;
use crate::{Error, Result};

macro_rules! encoders {
    ($($name:literal),* $(,)?) => {
        &[$(($name, include_str!(concat!("../../../benchmarks/encoders/", $name, ".json")))),*]
    };
}

/// Name and JSON text of every definition in the repository, sorted by name.
pub static ENCODERS: &[(&str, &str)] =
    encoders!["small-clip", "tiny-resnet", "tiny-rn", "tiny-vit"];

/// The checked definition of that name.
///
/// # Errors
/// If there is none; the message names the nearest one and lists all.
pub fn find(name: &str) -> Result<ClipConfig> {
    let Some((_, json)) = ENCODERS.iter().find(|(known, _)| *known == name) else {
        let names: Vec<&str> = ENCODERS.iter().map(|(known, _)| *known).collect();
        return Err(Error::Request(unknown("encoder", name, &names)));
    };
    ClipConfig::parse(json, &format!("{name}.json"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encoders::Clip;

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
            assert!(config.text_cfg.hf_tokenizer_name.is_some_and(|t| !t.is_empty()), "{name}");
        }
    }

    #[test]
    fn near_names_are_suggested() {
        let error = find("tiny-vitt").unwrap_err().to_string();
        assert!(error.contains("did you mean `tiny-vit`?"), "{error}");
    }
}
