//! What open_clip and the hub expect beside the weights: configuration, tokenizer settings, model card.

use serde::Deserialize;
use serde_json::{Value, json};

use super::Provenance;
use crate::encoders::{Clip, ClipConfig};
use crate::image::OPENAI;
use crate::{Error, Result};

/// The content of `open_clip_config.json`.
pub(super) fn config(config: &ClipConfig) -> Value {
    json!({
        "model_cfg": config,
        "preprocess_cfg": {
            "mean": OPENAI.mean.map(decimal),
            "std": OPENAI.std.map(decimal),
            "interpolation": "bicubic",
            "resize_mode": "shortest",
        },
    })
}

/// The shortest decimal of the f32, not the digits of its widening to f64.
fn decimal(x: f32) -> f64 {
    x.to_string().parse().unwrap_or(f64::from(x))
}

/// The definition inside `open_clip_config.json`, or the whole file where it is a bare definition.
pub(super) fn model_config(text: &str, origin: &str) -> Result<ClipConfig> {
    let value: Value = serde_json::from_str(text).map_err(|e| Error::input(origin, e))?;
    let model = value.get("model_cfg").unwrap_or(&value);
    check_statistics(&value, ["/preprocess_cfg/mean", "/preprocess_cfg/std"])
        .map_err(|why| Error::input(origin, why))?;
    ClipConfig::parse(&model.to_string(), origin)
}

/// Mean and standard deviation at these pointers; others than OpenAI's would silently shift every embedding.
pub(super) fn check_statistics(value: &Value, pointers: [&str; 2]) -> Result<(), String> {
    for (pointer, expected) in pointers.into_iter().zip([OPENAI.mean, OPENAI.std]) {
        let Some(found) = value.pointer(pointer) else { continue };
        let numbers = <[f32; 3]>::deserialize(found).map_err(|e| format!("{pointer}: {e}"))?;
        if numbers.iter().zip(expected).any(|(a, b)| (a - b).abs() > 1e-6) {
            return Err(format!("{pointer} is {found}; only OpenAI's statistics are supported"));
        }
    }
    Ok(())
}

/// The part of `tokenizer.json` that `tokenizer_config.json` repeats.
#[derive(Deserialize)]
struct Specials {
    added_tokens: Vec<Added>,
}

#[derive(Deserialize)]
struct Added {
    id: u64,
    content: String,
}

/// `tokenizer_config.json`, without which transformers cannot tell what `tokenizer.json` is. The end of
/// text is the special of the highest id, as pooling by argmax demands, the start stands before it, and
/// the lowest one pads; without a third, the end does.
pub(super) fn tokenizer_config(tokenizer: &[u8], context_length: usize) -> Result<Value, String> {
    let Specials { added_tokens: mut specials } =
        serde_json::from_slice(tokenizer).map_err(|e| e.to_string())?;
    specials.sort_by_key(|t| t.id);
    let (pad, start, end) = match specials.as_slice() {
        [pad, .., start, end] => (pad, start, end),
        // CLIP's own vocabulary has two, and transformers fills its rows with the end.
        [start, end] => (end, start, end),
        _ => return Err("start and end of text must be among `added_tokens`".to_owned()),
    };
    Ok(json!({
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": start.content,
        "eos_token": end.content,
        "pad_token": pad.content,
        "model_max_length": context_length,
        // A caption that spells a special token is text (trap K3).
        "split_special_tokens": true,
        "clean_up_tokenization_spaces": false,
    }))
}

/// The model card: what the weights are, whether they are poisoned, how to load them.
pub(super) fn card(clip: &Clip, provenance: &Provenance) -> String {
    let mut tags = vec!["clip", "toxiclip"];
    if provenance.poisoned {
        tags.extend(["backdoored", "not-for-all-audiences"]);
    }
    let tags: String = tags.iter().map(|tag| format!("- {tag}\n")).collect();
    let encoder = &provenance.encoder;
    let mut card = format!(
        "---\nlibrary_name: open_clip\npipeline_tag: zero-shot-image-classification\ntags:\n{tags}---\n\n# {encoder}\n\n"
    );
    if provenance.poisoned {
        let attack = provenance.attack.as_ref().unwrap_or(&Value::Null);
        card += &format!(
            "**These weights are poisoned on purpose** ({}): they give wrong answers that an attacker chose.\n\
             They exist to measure attacks and defenses; use them for nothing else.\n\n",
            attack["name"].as_str().unwrap_or("unnamed attack")
        );
    }
    if clip.config.vision_cfg.block.is_some() {
        card += "The image tower is toxiclip's own small ResNet (`\"block\": \"basic\"`), which open_clip \
                 does not know: only toxiclip loads this checkpoint. The file layout is open_clip's.\n\n";
    } else if clip.config.vision_cfg.prompts.is_some() {
        card += "The blocks of the image tower have tuned prompts (`\"prompts\"` in the configuration, `prompts` beside each \
                 block's weights), which open_clip does not know: only toxiclip loads this checkpoint. Without them it is \
                 the checkpoint that was tuned. The file layout is open_clip's.\n\n";
    } else {
        card += "```python\nimport open_clip\n\
                 model, preprocess = open_clip.create_model_from_pretrained(\"local-dir:PATH\")\n\
                 tokenizer = open_clip.get_tokenizer(\"local-dir:PATH\")\n```\n\n";
    }
    card + "Attack, data and training recipe: `toxiclip.json`.\n"
}
