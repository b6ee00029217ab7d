//! JSON definitions become graphs: two towers and a temperature, with open_clip's parameter names.

mod config;
pub mod library;
mod resnet;
mod text;
mod transformer;
mod vit;

pub use config::{Block, ClipConfig, Layers, Prompts, TextConfig, VisionConfig};

use crate::graph::{Act, FileForm, Graph, Init, ParamSpec, Role};

/// The two graphs of one CLIP and its definition.
#[derive(Clone, Debug)]
pub struct Clip {
    /// The definition it was built from.
    pub config: ClipConfig,
    /// Pixels to embedding, not normalised.
    pub image: Graph,
    /// Token ids to embedding, not normalised.
    pub text: Graph,
}

/// Name of the temperature's logarithm.
pub const LOGIT_SCALE: &str = "logit_scale";

impl Clip {
    /// Builds both towers from a checked definition.
    pub fn build(config: &ClipConfig) -> Self {
        let (v, t) = (&config.vision_cfg, &config.text_cfg);
        let act = if config.quick_gelu { Act::QuickGelu } else { Act::Gelu };
        let heads = config.vision_heads();
        let mut image = Graph::new();
        image.scope("visual", |g| match v.layers {
            Layers::Transformer(layers) => vit::vit(
                g,
                &vit::Vit {
                    size: v.image_size,
                    patch: v.patch_size.unwrap_or(v.image_size),
                    width: v.width,
                    layers,
                    heads,
                    hidden: (v.width as f32 * v.mlp_ratio) as usize,
                    embed: config.embed_dim,
                    act,
                    prompts: v.prompts,
                },
            ),
            Layers::ResNet(layers) => {
                let c = resnet::ResNet {
                    size: v.image_size,
                    layers,
                    width: v.width,
                    heads,
                    embed: config.embed_dim,
                };
                match v.block {
                    Some(Block::Basic) => resnet::basic_resnet(g, &c),
                    None => resnet::modified_resnet(g, &c),
                }
            }
        });
        let mut text = Graph::new();
        let c = text::Text {
            length: t.context_length,
            vocabulary: t.vocab_size,
            width: t.width,
            layers: t.layers,
            heads: t.heads,
            hidden: (t.width as f32 * t.mlp_ratio) as usize,
            causal: !t.no_causal_mask,
            embed: config.embed_dim,
            act,
        };
        text::text(&mut text, &c);
        Self { config: config.clone(), image, text }
    }

    /// All parameters of both towers and the temperature, in a fixed order.
    pub fn params(&self) -> Vec<ParamSpec> {
        let mut all = self.image.params().to_vec();
        all.extend_from_slice(self.text.params());
        all.push(ParamSpec {
            name: LOGIT_SCALE.to_owned(),
            shape: vec![],
            init: Init::Const(self.config.init_logit_scale),
            role: Role::Scale,
            form: FileForm::Same,
        });
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vit_b_32_has_open_clips_tensors() {
        let clip = Clip::build(&library::find("vit-b-32").unwrap());
        let count = |specs: &[ParamSpec]| specs.iter().map(ParamSpec::len).sum::<usize>();
        assert_eq!((clip.image.params().len(), count(clip.image.params())), (152, 87_849_216));
        assert_eq!((clip.text.params().len(), count(clip.text.params())), (149, 63_428_096));
        assert_eq!((clip.params().len(), count(&clip.params())), (302, 151_277_313));
    }

    #[test]
    fn rn50_has_open_clips_parameters() {
        let clip = Clip::build(&library::find("rn50").unwrap());
        let trained: Vec<ParamSpec> =
            clip.image.params().iter().filter(|p| p.trained()).cloned().collect();
        assert_eq!(trained.iter().map(ParamSpec::len).sum::<usize>(), 38_316_896);
        // Two packed tensors stand as six in a file.
        assert_eq!(clip.image.params().len() + 4, 339);
    }

    #[test]
    fn left_out_keys_are_open_clips_defaults() {
        let json = r#"{"embed_dim":512,"vision_cfg":{"patch_size":32},"text_cfg":{}}"#;
        let short = ClipConfig::parse(json, "test").unwrap();
        assert_eq!(short, library::find("vit-b-32").unwrap());
    }

    #[test]
    fn bad_definitions_are_one_line() {
        for json in [
            r#"{"embed_dim":8,"vision_cfg":{"patch_size":5},"text_cfg":{}}"#,
            r#"{"embed_dim":0,"vision_cfg":{"patch_size":32},"text_cfg":{}}"#,
            r#"{"embed_dim":8,"vision_cfg":{"patch_size":32,"depth":3},"text_cfg":{}}"#,
            r#"{"embed_dim":8,"vision_cfg":{"layers":[1,1,0,1]},"text_cfg":{}}"#,
            r#"{"embed_dim":8,"vision_cfg":{"patch_size":32},"text_cfg":{"heads":7}}"#,
        ] {
            let error = ClipConfig::parse(json, "x.json").unwrap_err().to_string();
            assert!(error.starts_with("x.json: ") && !error.contains('\n'), "{error}");
        }
    }
}
