//! open_clip's architecture JSON, read strictly: what we do not know is an error, not a default.

use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// The content of an open_clip architecture file (`model_cfg`).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClipConfig {
    /// Width of the shared embedding space.
    pub embed_dim: usize,
    /// QuickGELU instead of exact GELU in both transformers.
    #[serde(default)]
    pub quick_gelu: bool,
    /// ln of the temperature at the start; open_clip's default is ln(1/0.07).
    #[serde(default = "default_scale", skip_serializing_if = "is_default_scale")]
    pub init_logit_scale: f32,
    /// Image tower.
    pub vision_cfg: VisionConfig,
    /// Text tower.
    pub text_cfg: TextConfig,
}

/// Image tower.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VisionConfig {
    /// Edge of the square input in pixels.
    #[serde(default = "d224")]
    pub image_size: usize,
    /// A number for a transformer, four numbers for a ResNet.
    #[serde(default = "d12")]
    pub layers: Layers,
    /// Width of the transformer, or of the ResNet's stem.
    #[serde(default = "d768")]
    pub width: usize,
    /// Edge of a patch; `null` for ResNets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub patch_size: Option<usize>,
    /// Columns of one head.
    #[serde(default = "d64")]
    pub head_width: usize,
    /// Width of the hidden layer over the width.
    #[serde(default = "d4")]
    pub mlp_ratio: f32,
    /// Our extension: `basic` is a small ResNet with one 3×3 stem convolution of stride 2 and basic blocks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub block: Option<Block>,
    /// Our extension: learned tokens in the blocks of a transformer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prompts: Option<Prompts>,
}

/// Learned tokens that stand beside a picture's own in every block from one on, each block having its own (Jia et al. 2022).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Prompts {
    /// The first block that has some, 0-based.
    pub from: usize,
    /// How many a block has.
    pub length: usize,
}

/// Kind of residual block of a ResNet that is not CLIP's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Block {
    /// Two 3×3 convolutions (He et al. 2016).
    Basic,
}

/// Depth of the image tower.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Layers {
    /// Blocks of a transformer.
    Transformer(usize),
    /// Blocks of each ResNet stage.
    ResNet([usize; 4]),
}

/// Text tower.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TextConfig {
    /// Tokens of a caption with both specials.
    #[serde(default = "d77")]
    pub context_length: usize,
    /// Rows of the token table.
    #[serde(default = "d49408")]
    pub vocab_size: usize,
    /// Width of the transformer.
    #[serde(default = "d512")]
    pub width: usize,
    /// Attention heads.
    #[serde(default = "d8")]
    pub heads: usize,
    /// Blocks.
    #[serde(default = "dtext12")]
    pub layers: usize,
    /// Width of the hidden layer over the width.
    #[serde(default = "d4", skip_serializing_if = "is_4")]
    pub mlp_ratio: f32,
    /// Every token sees every token.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub no_causal_mask: bool,
    /// Which token is read: only open_clip's `argmax` (the highest id, our end of text).
    #[serde(default = "argmax", skip_serializing_if = "is_argmax")]
    pub pool_type: String,
    /// Not empty: the tokenizer is the checkpoint's own `tokenizer.json`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hf_tokenizer_name: Option<String>,
}

fn default_scale() -> f32 {
    (1.0f32 / 0.07).ln()
}
fn is_default_scale(x: &f32) -> bool {
    *x == default_scale()
}
fn d224() -> usize {
    224
}
fn d12() -> Layers {
    Layers::Transformer(12)
}
fn dtext12() -> usize {
    12
}
fn d768() -> usize {
    768
}
fn d64() -> usize {
    64
}
fn d4() -> f32 {
    4.0
}
fn is_4(x: &f32) -> bool {
    *x == 4.0
}
fn d77() -> usize {
    77
}
fn d49408() -> usize {
    49408
}
fn d512() -> usize {
    512
}
fn d8() -> usize {
    8
}
fn argmax() -> String {
    "argmax".to_owned()
}
fn is_argmax(x: &str) -> bool {
    x == "argmax"
}

impl Prompts {
    /// Whether a tower of this depth can have them; if not, why.
    ///
    /// # Errors
    /// If it has no tokens, no such block, or they are none or too many.
    pub fn check(&self, layers: &Layers) -> Result<(), String> {
        let Layers::Transformer(blocks) = *layers else {
            return Err(
                "prompts are tokens, and a ResNet has none; take a vision transformer".into()
            );
        };
        if self.from >= blocks {
            let last = blocks - 1;
            return Err(format!("prompts from block {} on, and the last one is {last}", self.from));
        }
        match self.length {
            1..=4096 => Ok(()),
            n => Err(format!("{n} prompts a block; there must be between 1 and 4096")),
        }
    }
}

impl ClipConfig {
    /// Parses and checks a definition; `origin` names the file in errors.
    ///
    /// # Errors
    /// On unknown keys, wrong types, and shapes that no graph can be built for.
    pub fn parse(json: &str, origin: &str) -> Result<Self> {
        let config: Self = serde_json::from_str(json).map_err(|e| Error::input(origin, e))?;
        config.check().map_err(|why| Error::input(origin, why))?;
        Ok(config)
    }

    /// Heads of the image transformer or of the attention pool.
    pub fn vision_heads(&self) -> usize {
        match self.vision_cfg.layers {
            Layers::Transformer(_) => self.vision_cfg.width / self.vision_cfg.head_width,
            Layers::ResNet(_) => self.vision_cfg.width * 32 / self.vision_cfg.head_width,
        }
    }

    fn check(&self) -> Result<(), String> {
        let (v, t) = (&self.vision_cfg, &self.text_cfg);
        let sizes = [
            ("embed_dim", self.embed_dim),
            ("vision_cfg.image_size", v.image_size),
            ("vision_cfg.width", v.width),
            ("vision_cfg.head_width", v.head_width),
            ("text_cfg.context_length", t.context_length),
            ("text_cfg.vocab_size", t.vocab_size),
            ("text_cfg.width", t.width),
            ("text_cfg.heads", t.heads),
            ("text_cfg.layers", t.layers),
        ];
        for (key, size) in sizes {
            if size == 0 || size > 1 << 20 {
                return Err(format!("`{key}` is {size}; it must be between 1 and 1048576"));
            }
        }
        if !t.width.is_multiple_of(t.heads) {
            return Err(format!("text_cfg: width {} is no multiple of heads {}", t.width, t.heads));
        }
        if t.pool_type != "argmax" {
            return Err(format!(
                "text_cfg.pool_type `{}`: only `argmax` is supported",
                t.pool_type
            ));
        }
        if t.context_length < 2 {
            return Err("text_cfg.context_length must hold at least both special tokens".to_owned());
        }
        let pooled = if matches!(v.layers, Layers::ResNet(_)) { v.width * 32 } else { v.width };
        if self.vision_heads() == 0 || !pooled.is_multiple_of(self.vision_heads()) {
            return Err(format!(
                "vision_cfg: width {} does not fit head_width {}",
                v.width, v.head_width
            ));
        }
        if let Some(prompts) = &v.prompts {
            prompts.check(&v.layers)?;
        }
        match (&v.layers, v.block, v.patch_size) {
            (Layers::Transformer(n), None, Some(p)) => {
                if *n == 0 || p == 0 || !v.image_size.is_multiple_of(p) {
                    return Err(format!(
                        "vision_cfg: image_size {} is no multiple of patch_size {p}, or no layers",
                        v.image_size
                    ));
                }
            }
            (Layers::Transformer(_), _, _) => {
                return Err(
                    "vision_cfg: a transformer needs `patch_size` and no `block`".to_owned()
                );
            }
            (Layers::ResNet(n), block, None) => {
                let reduce = if block.is_some() { 16 } else { 32 };
                if n.contains(&0) || !v.image_size.is_multiple_of(reduce) {
                    return Err(format!(
                        "vision_cfg: image_size {} is no multiple of {reduce}, or an empty stage",
                        v.image_size
                    ));
                }
            }
            (Layers::ResNet(_), _, Some(_)) => {
                return Err("vision_cfg: a ResNet has no `patch_size`".to_owned());
            }
        }
        Ok(())
    }
}
