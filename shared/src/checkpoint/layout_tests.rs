//! Every encoder through a file and back, and every way in which a file may not fit.

use super::*;
use crate::encoders::library;
use crate::seed::Seed;

fn tiny(name: &str) -> (Clip, Weights) {
    let clip = Clip::build(&library::find(name).unwrap());
    let mut weights = Weights::init(&clip.params(), &Seed::new(3));
    // Start values of statistics and gains are constants; here every element differs.
    for (i, spec) in clip.params().iter().enumerate() {
        let mut stream = Seed::new(4).child(i).stream();
        let tensor = weights.get_mut(&spec.name).unwrap();
        match spec.role {
            Role::Counter => tensor.data[0] = 1234.0,
            _ => tensor.data.iter_mut().for_each(|x| *x = stream.normal()),
        }
    }
    (clip, weights)
}

/// The file with one tensor changed by `edit`, which may also remove or add.
fn edited(file: &[u8], edit: impl Fn(&mut Vec<Blob>)) -> Vec<u8> {
    let container = container::parse(file).unwrap();
    let mut blobs: Vec<Blob> = container
        .tensors
        .into_iter()
        .map(|(name, v)| Blob { name, dtype: v.dtype, shape: v.shape, bytes: v.bytes.to_vec() })
        .collect();
    edit(&mut blobs);
    container::write(&blobs, &container.metadata)
}

#[test]
fn save_and_load_is_the_identity() {
    for name in library::small() {
        let (clip, weights) = tiny(name);
        let file = write_safetensors(&clip, &weights, "{}");
        let back = read_safetensors(&file, &clip, "x").unwrap();
        assert_eq!(back, weights, "{name}");
        assert_eq!(back.digest(), weights.digest(), "{name}");
        assert_eq!(write_safetensors(&clip, &back, "{}"), file, "{name}");
    }
}

/// Of every published encoder, against what `golden/shapes.py` finds in open_clip's own models.
#[test]
fn published_encoders_have_open_clips_tensors() {
    type Tensors = BTreeMap<String, Shape>;
    let golden = include_str!("../../tests/golden/shapes.json");
    let golden: BTreeMap<String, Tensors> = serde_json::from_str(golden).unwrap();
    assert_eq!(golden.len(), 6);
    let ours = |name: &str| -> Tensors {
        let params = Clip::build(&library::find(name).unwrap()).params();
        let owned = |(name, shape): (&str, Shape)| (name.to_owned(), shape);
        params.iter().flat_map(file_tensors).map(owned).collect()
    };
    for (name, theirs) in &golden {
        assert_eq!(&ours(name), theirs, "{name}");
    }
    assert_ne!(ours("vit-b-16"), golden["vit-b-32"]);
}

#[test]
fn names_shapes_and_order_are_open_clips() {
    let (clip, weights) = tiny("tiny-rn");
    let file = write_safetensors(&clip, &weights, "{}");
    let tensors = container::parse(&file).unwrap().tensors;
    assert_eq!(tensors["visual.attnpool.k_proj.weight"].shape, [512, 512]);
    assert_eq!(tensors["visual.conv1.weight"].shape, [8, 3, 3, 3]);
    assert_eq!(tensors["visual.bn1.num_batches_tracked"].dtype, Dtype::I64);
    assert_eq!(tensors["visual.bn1.num_batches_tracked"].bytes, 1234i64.to_le_bytes());
    assert_eq!(tensors["text_projection"].shape, [128, 128]);
    let at = |name: &str, i: usize| elements(&tensors[name])[i];
    // (out, y, x, in) = (5, 2, 1, 2) is element (5, 2, 2, 1) of the file.
    let ours = weights.data("visual.conv1.weight")[((5 * 3 + 2) * 3 + 1) * 3 + 2];
    assert_eq!(at("visual.conv1.weight", ((5 * 3 + 2) * 3 + 2) * 3 + 1), ours);
    let ours = weights.data("text_projection")[7 * 128 + 9];
    assert_eq!(at("text_projection", 9 * 128 + 7), ours);
    let ours = weights.data("visual.attnpool.in_proj_bias")[512 + 3];
    assert_eq!(at("visual.attnpool.k_proj.bias", 3), ours);
}

#[test]
fn all_that_does_not_fit_is_listed_at_once() {
    let (clip, weights) = tiny("tiny-resnet");
    let file = edited(&write_safetensors(&clip, &weights, ""), |blobs| {
        blobs.retain(|b| b.name != "ln_final.bias" && b.name != "visual.bn1.running_var");
        blobs.push(Blob::f32("visual.extra", vec![1], &[0.]));
        blobs.push(Blob::f32("logit_bias", vec![], &[0.]));
        for blob in blobs {
            match blob.name.as_str() {
                "visual.proj" => blob.shape.reverse(),
                "ln_final.weight" => blob.bytes[..4].copy_from_slice(&f32::NAN.to_le_bytes()),
                "visual.bn1.num_batches_tracked" => blob.dtype = Dtype::F64,
                _ => {}
            }
        }
    });
    let error = read_safetensors(&file, &clip, "x.safetensors").unwrap_err().to_string();
    assert_eq!(
        error,
        "weights do not fit the encoder: x.safetensors: \
         2 missing: visual.bn1.running_var, ln_final.bias; \
         2 surplus: logit_bias, visual.extra; \
         2 misshapen: visual.bn1.num_batches_tracked F64 instead of I64, \
         visual.proj [128, 192] instead of [192, 128]; 1 not finite: ln_final.weight"
    );
}

#[test]
fn prefixes_derived_entries_and_a_temperature_in_one_element_are_accepted() {
    let (clip, weights) = tiny("tiny-vit");
    let file = edited(&write_safetensors(&clip, &weights, ""), |blobs| {
        for blob in blobs.iter_mut() {
            let text = blob.name != LOGIT && !blob.name.starts_with("visual.");
            blob.name = format!("module.{}{}", if text { "text." } else { "" }, blob.name);
            if blob.shape.is_empty() {
                blob.shape = vec![1];
            }
        }
        blobs.push(Blob::i64("context_length", vec![], &[77]));
        blobs.push(Blob::i64("module.text.embeddings.position_ids", vec![1], &[0]));
    });
    assert_eq!(read_safetensors(&file, &clip, "x").unwrap(), weights);
    let twice = edited(&file, |blobs| {
        let mut copy = blobs.iter().find(|b| b.name.starts_with("module.")).unwrap().clone();
        copy.name = copy.name.replace("module.", "");
        blobs.push(copy);
    });
    let error = read_safetensors(&twice, &clip, "x").unwrap_err().to_string();
    assert!(error.contains("two tensors stand for"), "{error}");
}

const LOGIT: &str = crate::encoders::LOGIT_SCALE;

#[test]
fn half_precision_is_read_exactly() {
    let cases: [(u16, f32); 7] = [
        (0x3c00, 1.0),
        (0xc000, -2.0),
        (0x3555, 0.333_251_95),
        (0x7bff, 65504.0),
        (0x0001, 5.960_464_5e-8),
        (0x03ff, 6.097_555e-5),
        (0x0400, 6.103_515_6e-5),
    ];
    for (bits, value) in cases {
        assert_eq!(half(bits), value, "{bits:#06x}");
    }
    assert!(half(0x7c00).is_infinite() && half(0x7e00).is_nan());
    let view = View { dtype: Dtype::Bf16, shape: vec![1], bytes: &[0x80, 0x3f] };
    assert_eq!(elements(&view), [1.0]);
    let bytes = 0.5f64.to_le_bytes();
    assert_eq!(elements(&View { dtype: Dtype::F64, shape: vec![1], bytes: &bytes }), [0.5]);
}
