//! The layout of transformers' `CLIPModel`: other names for the same tensors, and a configuration of its own.
//!
//! Files state only what differs from transformers' defaults, so the defaults stand here.

use serde::Deserialize;
use serde_json::json;

use super::hub;
use crate::encoders::ClipConfig;
use crate::graph::{FileForm, ParamSpec};
use crate::{Error, Result};

/// `config.json`; keys that do not change the numbers are not read.
#[derive(Deserialize)]
struct Config {
    model_type: String,
    #[serde(default = "d512")]
    projection_dim: usize,
    #[serde(default = "scale")]
    logit_scale_init_value: f32,
    #[serde(default)]
    text_config: Text,
    #[serde(default)]
    vision_config: Vision,
}

fn d512() -> usize {
    512
}

fn scale() -> f32 {
    2.6592
}

#[derive(Deserialize)]
#[serde(default)]
struct Text {
    hidden_size: usize,
    intermediate_size: usize,
    num_hidden_layers: usize,
    num_attention_heads: usize,
    hidden_act: String,
    layer_norm_eps: f64,
    max_position_embeddings: usize,
    vocab_size: usize,
    eos_token_id: usize,
}

impl Default for Text {
    fn default() -> Self {
        Self {
            hidden_size: 512,
            intermediate_size: 2048,
            num_hidden_layers: 12,
            num_attention_heads: 8,
            hidden_act: "quick_gelu".to_owned(),
            layer_norm_eps: 1e-5,
            max_position_embeddings: 77,
            vocab_size: 49408,
            eos_token_id: 49407,
        }
    }
}

#[derive(Deserialize)]
#[serde(default)]
struct Vision {
    hidden_size: usize,
    intermediate_size: usize,
    num_hidden_layers: usize,
    num_attention_heads: usize,
    hidden_act: String,
    layer_norm_eps: f64,
    image_size: usize,
    patch_size: usize,
    num_channels: usize,
}

impl Default for Vision {
    fn default() -> Self {
        Self {
            hidden_size: 768,
            intermediate_size: 3072,
            num_hidden_layers: 12,
            num_attention_heads: 12,
            hidden_act: "quick_gelu".to_owned(),
            layer_norm_eps: 1e-5,
            image_size: 224,
            patch_size: 32,
            num_channels: 3,
        }
    }
}

/// The definition that a `config.json` amounts to.
///
/// # Errors
/// If it is no CLIP, or says something that our graphs cannot express.
pub(super) fn model_config(text: &str, origin: &str) -> Result<ClipConfig> {
    let config: Config = serde_json::from_str(text).map_err(|e| Error::input(origin, e))?;
    check(&config).map_err(|why| Error::input(origin, why))?;
    let Config { text_config: t, vision_config: v, .. } = &config;
    let definition = json!({
        "embed_dim": config.projection_dim,
        "quick_gelu": t.hidden_act == "quick_gelu",
        "init_logit_scale": config.logit_scale_init_value,
        "vision_cfg": {
            "image_size": v.image_size,
            "layers": v.num_hidden_layers,
            "width": v.hidden_size,
            "patch_size": v.patch_size,
            "head_width": v.hidden_size / v.num_attention_heads,
            "mlp_ratio": v.intermediate_size as f64 / v.hidden_size as f64,
        },
        "text_cfg": {
            "context_length": t.max_position_embeddings,
            "vocab_size": t.vocab_size,
            "width": t.hidden_size,
            "heads": t.num_attention_heads,
            "layers": t.num_hidden_layers,
            "mlp_ratio": t.intermediate_size as f64 / t.hidden_size as f64,
            "hf_tokenizer_name": "tokenizer.json",
        },
    });
    ClipConfig::parse(&definition.to_string(), origin)
}

fn check(config: &Config) -> Result<(), String> {
    let Config { text_config: t, vision_config: v, .. } = config;
    if config.model_type != "clip" {
        return Err(format!("model_type `{}`; only `clip` is supported", config.model_type));
    }
    if t.hidden_act != v.hidden_act || !["gelu", "quick_gelu"].contains(&t.hidden_act.as_str()) {
        let acts = format!("`{}` and `{}`", t.hidden_act, v.hidden_act);
        return Err(format!("hidden_act {acts}: both must be `gelu` or both `quick_gelu`"));
    }
    if t.layer_norm_eps != 1e-5 || v.layer_norm_eps != 1e-5 {
        return Err("layer_norm_eps other than 1e-5 is not supported".to_owned());
    }
    if v.num_channels != 3 {
        return Err(format!("num_channels {}; pictures have 3", v.num_channels));
    }
    if [t.hidden_size, v.hidden_size, t.num_attention_heads, v.num_attention_heads].contains(&0)
        || !v.hidden_size.is_multiple_of(v.num_attention_heads)
    {
        return Err("hidden_size must be a positive multiple of num_attention_heads".to_owned());
    }
    // 2 is an old mistake in published files that transformers reads as "the highest id".
    if t.eos_token_id != 2 && t.eos_token_id + 1 != t.vocab_size {
        return Err(format!("eos_token_id {} is not the highest id", t.eos_token_id));
    }
    Ok(())
}

/// Refuses other pixel statistics than OpenAI's in `preprocessor_config.json`.
pub(super) fn check_preprocessing(text: &[u8], origin: &str) -> Result<()> {
    let value = serde_json::from_slice(text).map_err(|e| Error::input(origin, e))?;
    hub::check_statistics(&value, ["/image_mean", "/image_std"])
        .map_err(|why| Error::input(origin, why))?;
    // Pillow's 3 is bicubic.
    let mut ways = vec![("/resample", json!([3]))];
    let always = ["/do_resize", "/do_center_crop", "/do_rescale", "/do_normalize"];
    ways.extend(always.map(|step| (step, json!([true]))));
    hub::check_ways(&value, &ways).map_err(|why| Error::input(origin, why))
}

/// Whether a file with tensors of these names has this layout.
pub(super) fn is_layout<'a>(mut names: impl Iterator<Item = &'a String>) -> bool {
    names.any(|name| {
        let name = name.strip_prefix("module.").unwrap_or(name);
        name.starts_with("vision_model.") || name.starts_with("text_model.")
    })
}

/// The parameter as it stands in a file of this layout: named, shaped and split as there.
pub(super) fn stored(spec: &ParamSpec) -> ParamSpec {
    let (tower, rest) = match spec.name.strip_prefix("visual.") {
        Some(rest) => ("vision_model", rest),
        None => ("text_model", spec.name.as_str()),
    };
    let mut stored = spec.clone();
    let (name, form) = match rest {
        "proj" => ("visual_projection.weight".to_owned(), FileForm::Same),
        "text_projection" => ("text_projection.weight".to_owned(), FileForm::Same),
        "logit_scale" => (rest.to_owned(), FileForm::Same),
        _ => match rest.split_once("resblocks.").and_then(|(_, block)| block.split_once('.')) {
            Some((layer, part)) => block(tower, layer, part),
            None => (format!("{tower}.{}", outside(rest)), spec.form.clone()),
        },
    };
    (stored.name, stored.form) = (name, form);
    stored
}

fn block(tower: &str, layer: &str, part: &str) -> (String, FileForm) {
    let path = format!("{tower}.encoder.layers.{layer}");
    if let Some(kind) = part.strip_prefix("attn.in_proj_") {
        let names = ["q", "k", "v"].map(|p| format!("{path}.self_attn.{p}_proj.{kind}"));
        return (format!("{path}.self_attn"), FileForm::Split(names.to_vec()));
    }
    let part = part
        .replace("attn.", "self_attn.")
        .replace("ln_1", "layer_norm1")
        .replace("ln_2", "layer_norm2")
        .replace("c_fc", "fc1")
        .replace("c_proj", "fc2");
    (format!("{path}.{part}"), FileForm::Same)
}

/// Names outside the blocks; `pre_layrnorm` is spelt so (trap W6).
fn outside(name: &str) -> String {
    match name {
        "class_embedding" => "embeddings.class_embedding".to_owned(),
        "positional_embedding" => "embeddings.position_embedding.weight".to_owned(),
        "conv1.weight" => "embeddings.patch_embedding.weight".to_owned(),
        "token_embedding.weight" => "embeddings.token_embedding.weight".to_owned(),
        _ => name
            .replace("ln_pre", "pre_layrnorm")
            .replace("ln_post", "post_layernorm")
            .replace("ln_final", "final_layer_norm"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encoders::Clip;

    #[test]
    fn an_empty_configuration_is_vit_b_32() {
        let config = model_config(r#"{"model_type":"clip","architectures":["CLIPModel"]}"#, "x");
        let clip = Clip::build(&config.unwrap());
        assert!(clip.config.quick_gelu);
        let params = clip.params();
        assert_eq!(params.iter().map(ParamSpec::len).sum::<usize>(), 151_277_313);
        // q, k and v apart in 24 blocks: two tensors stand as six.
        let files = params.iter().map(stored).map(|p| match p.form {
            FileForm::Split(names) => names.len(),
            _ => 1,
        });
        assert_eq!(files.sum::<usize>(), 398);
    }

    /// The victim of the seed paper: transformers' defaults are OpenAI's ViT-B/32, and benchmarks name it by this file.
    #[test]
    fn the_published_victim_is_the_default() {
        let ours = include_str!("../../../benchmarks/seed/vit-b-32.json");
        let theirs = model_config(r#"{"model_type":"clip"}"#, "x.json").unwrap();
        assert_eq!(ClipConfig::parse(ours, "vit-b-32.json").unwrap(), theirs);
    }

    #[test]
    fn what_our_graphs_cannot_express_is_refused() {
        for (part, expected) in [
            (r#""vision_config":{"hidden_act":"gelu"}"#, "hidden_act"),
            (r#""text_config":{"layer_norm_eps":1e-6}"#, "layer_norm_eps"),
            (r#""text_config":{"eos_token_id":7}"#, "eos_token_id 7"),
            (r#""vision_config":{"num_attention_heads":0}"#, "num_attention_heads"),
            (r#""vision_config":{"num_channels":1}"#, "num_channels"),
            (r#""vision_config":{"hidden_size":"wide"}"#, "invalid type"),
        ] {
            let error = model_config(&format!(r#"{{"model_type":"clip",{part}}}"#), "x.json");
            let error = error.unwrap_err().to_string();
            assert!(error.contains(expected) && !error.contains('\n'), "{expected}: {error}");
        }
        let error = model_config(r#"{"model_type":"siglip"}"#, "x.json").unwrap_err().to_string();
        assert!(error.contains("only `clip`"), "{error}");
    }

    #[test]
    fn pictures_prepared_another_way_are_refused() {
        let openai = json!({
            "resample": 3, "do_resize": true, "do_center_crop": true, "do_rescale": true, "do_normalize": true,
            "image_mean": [0.48145466, 0.4578275, 0.40821073], "image_std": [0.26862954, 0.26130258, 0.27577711],
        });
        check_preprocessing(openai.to_string().as_bytes(), "there").unwrap();
        for (key, value) in [
            ("resample", json!(2)),
            ("do_center_crop", json!(false)),
            ("image_mean", json!([0, 0, 0])),
        ] {
            let mut other = openai.clone();
            other[key] = value;
            let said = check_preprocessing(other.to_string().as_bytes(), "there").unwrap_err();
            assert!(said.to_string().starts_with(&format!("there: /{key} is ")), "{said}");
        }
    }
}
