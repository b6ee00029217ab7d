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
    let wrong = |why: String| Error::input(origin, why);
    check_statistics(&value, ["/preprocess_cfg/mean", "/preprocess_cfg/std"]).map_err(wrong)?;
    // open_clip's `random` is about training; its inference is then bicubic.
    let ways = [
        ("/preprocess_cfg/interpolation", json!(["bicubic", "random"])),
        ("/preprocess_cfg/resize_mode", json!(["shortest"])),
        ("/preprocess_cfg/mode", json!(["RGB"])),
    ];
    check_ways(&value, &ways).map_err(wrong)?;
    let config = ClipConfig::parse(&model.to_string(), origin)?;
    let size = config.vision_cfg.image_size;
    let sizes = json!([size, [size, size]]);
    check_ways(&value, &[("/preprocess_cfg/size", sizes)]).map_err(wrong)?;
    Ok(config)
}

/// What stands at these pointers is among what pictures are prepared by here, or is not said: another way to resize or crop
/// would move every embedding without a word.
pub(super) fn check_ways(value: &Value, known: &[(&str, Value)]) -> Result<(), String> {
    for (pointer, known) in known {
        let Some(found) = value.pointer(pointer).filter(|found| !found.is_null()) else { continue };
        if !known.as_array().is_some_and(|known| known.contains(found)) {
            return Err(format!("{pointer} is {found}; only one of {known} is supported"));
        }
    }
    Ok(())
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encoders::library;

    #[test]
    fn pictures_prepared_another_way_are_refused() {
        let tiny = library::find("tiny-vit").unwrap();
        let size = tiny.vision_cfg.image_size;
        let said = |key: &str, value: Value| {
            let mut whole = config(&tiny);
            whole["preprocess_cfg"][key] = value;
            model_config(&whole.to_string(), "there").err().map(|e| e.to_string())
        };
        let open_clips = [
            ("size", json!(size)),
            ("size", json!([size, size])),
            ("mode", json!("RGB")),
            ("fill_color", json!(0)),
            ("interpolation", json!("random")),
            ("resize_mode", Value::Null),
        ];
        for (key, value) in open_clips {
            assert_eq!(said(key, value.clone()), None, "{key} {value}");
        }
        let others = [
            ("mean", json!([0.5, 0.5, 0.5])),
            ("std", json!([0.5, 0.5, 0.5])),
            ("interpolation", json!("bilinear")),
            ("resize_mode", json!("squash")),
            ("mode", json!("L")),
            ("size", json!([size, size + 1])),
        ];
        for (key, value) in others {
            let Some(line) = said(key, value.clone()) else { panic!("{key} {value} was taken") };
            assert!(
                line.starts_with(&format!("there: /preprocess_cfg/{key} is {value}")),
                "{line}"
            );
            assert_eq!(line.lines().count(), 1, "{line}");
        }
    }
}
