//! Every kernel by naga, without a device; and on one against the CPU: kernels on small graphs with edges in them, then whole
//! encoders. `REQUIRE_GPU=1` makes a missing adapter a failure.

mod cases;

use std::collections::BTreeSet;
use std::sync::OnceLock;

use self::cases::{cases, rounded, weights};
use super::kernels::KERNELS;
use super::lower::{Lowered, lower};
use super::slots::assign;
use super::{Gpu, Program};
use crate::encoders::{Clip, library};
use crate::exec::Inputs;
use crate::exec::cpu::{Arena, Frozen, params_of};
use crate::graph::{Graph, Init, Role};
use crate::seed::Seed;
use crate::weights::Weights;

/// Largest |device − CPU| / (1 + |CPU|) that is rounding.
const TOLERANCE: f64 = 1e-4;
/// Least cosine of embeddings of whole encoders.
const COSINE: f64 = 0.999_9;

struct Batch {
    pixels: Vec<f32>,
    ids: Vec<u32>,
    end: Vec<u32>,
}

impl Batch {
    fn random(graph: &Graph, examples: usize, vocabulary: usize) -> Self {
        let mut stream = Seed::new(2).stream();
        let (rows, len) = (graph.steps()[0].rows(), graph.steps()[0].columns());
        let pixels = (0..examples * rows * len).map(|_| stream.normal()).collect();
        let ids = (0..examples * rows).map(|_| stream.below(vocabulary) as u32).collect();
        // The CPU leaves out what lies behind the longest text: the first one has full length.
        let end = (0..examples).map(|e| ((rows - 1 + 3 * e) % rows) as u32).collect();
        Self { pixels, ids, end }
    }

    fn inputs(&self, graph: &Graph) -> Inputs<'_> {
        match graph.steps()[0].inputs.is_empty()
            && matches!(graph.steps()[0].op, crate::graph::Op::Pixels)
        {
            true => Inputs::Pixels(&self.pixels),
            false => Inputs::Tokens { ids: &self.ids, end: &self.end },
        }
    }
}

/// What a device gave, and what the CPU gave: a value cannot be compared with itself.
struct Device(Vec<f32>);
struct Reference(Vec<f32>);

fn deviation(Device(device): &Device, Reference(cpu): &Reference) -> f64 {
    assert_eq!(device.len(), cpu.len());
    let of = |(a, b): (&f32, &f32)| f64::from((a - b).abs() / (1.0 + b.abs()));
    // A NaN must not be passed over.
    let worst = |d: f64| if d.is_nan() { f64::INFINITY } else { d };
    device.iter().zip(cpu).map(of).map(worst).fold(0.0, f64::max)
}

fn cosine(Device(device): &Device, Reference(cpu): &Reference, width: usize) -> f64 {
    let dot = |a: &[f32], b: &[f32]| {
        a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum::<f64>()
    };
    let rows = device.chunks_exact(width).zip(cpu.chunks_exact(width));
    rows.map(|(a, b)| dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()).fold(1.0, f64::min)
}

/// The adapter, opened once; `None` prints why tests are skipped.
fn gpu() -> Option<&'static Gpu> {
    static GPU: OnceLock<Option<Gpu>> = OnceLock::new();
    let open = || match pollster::block_on(Gpu::open()) {
        Ok(gpu) => Some(gpu),
        Err(error) if std::env::var_os("REQUIRE_GPU").is_some_and(|set| set == "1") => {
            panic!("{error}")
        }
        Err(error) => {
            println!("SKIPPED, no adapter: {error}");
            None
        }
    };
    GPU.get_or_init(open).as_ref()
}

fn both(gpu: &Gpu, graph: &Graph, examples: usize, vocabulary: usize) -> (Device, Reference) {
    let (weights, batch) = (weights(graph), Batch::random(graph, examples, vocabulary));
    let params = params_of(graph, &weights);
    let cpu = Frozen::of(graph, params.clone()).embed(batch.inputs(graph), &mut Arena::default());
    let device = pollster::block_on(async {
        // Room for one more: what is in it then must not matter.
        let program = Program::compile(gpu, graph, &params, examples + 1).await?;
        program.run(batch.inputs(graph)).await
    });
    (Device(device.unwrap()), Reference(cpu.to_vec()))
}

#[test]
fn naga_reads_every_kernel_and_finds_it_within_the_default_limits() {
    use naga::valid::{Capabilities, ValidationFlags, Validator};
    let mut launched = BTreeSet::new();
    for ((what, graph), halves) in cases().into_iter().flat_map(|c| [(c.clone(), false), (c, true)])
    {
        let weights = if halves { rounded(&weights(&graph)) } else { weights(&graph) };
        let lowered = lower(&graph, &params_of(&graph, &weights), 2, halves).unwrap();
        for launch in &lowered.launches {
            let kernel = launch.kernel;
            launched.insert(kernel.name);
            let module = naga::front::wgsl::parse_str(kernel.source)
                .unwrap_or_else(|e| panic!("{}: {}", kernel.name, e.emit_to_string(kernel.source)));
            let needs =
                if kernel.half { Capabilities::SHADER_FLOAT16 } else { Capabilities::empty() };
            Validator::new(ValidationFlags::all(), needs).validate(&module).unwrap();
            let [entry] = &module.entry_points[..] else { panic!("{}: entry points", kernel.name) };
            assert_eq!(entry.name, "main");
            assert!(entry.workgroup_size.iter().product::<u32>() <= 256, "{}", kernel.name);
            assert_eq!(launch.reads.len(), kernel.reads, "{what}: {}", kernel.name);
            let layouter = module.to_ctx();
            let (mut shared, mut storage) = (0, BTreeSet::new());
            for (_, global) in module.global_variables.iter() {
                let inner = &module.types[global.ty].inner;
                match global.space {
                    naga::AddressSpace::WorkGroup => shared += inner.size(layouter),
                    naga::AddressSpace::Uniform => {
                        let naga::TypeInner::Struct { members, span } = inner else { panic!() };
                        let names: Vec<&str> =
                            members.iter().filter_map(|m| m.name.as_deref()).collect();
                        let given: Vec<&str> =
                            launch.uniforms.iter().map(|(name, _)| *name).collect();
                        assert_eq!(
                            (names, *span as usize),
                            (given.clone(), 4 * given.len()),
                            "{}",
                            kernel.name
                        );
                        assert_eq!(global.binding.as_ref().unwrap().binding, 0);
                    }
                    naga::AddressSpace::Storage { access } => {
                        let writes = access.contains(naga::StorageAccess::STORE);
                        let binding = global.binding.as_ref().unwrap().binding as usize;
                        assert_eq!(
                            writes,
                            binding == kernel.reads + 1,
                            "{}: the last is written",
                            kernel.name
                        );
                        storage.insert(binding);
                    }
                    _ => panic!("{}: {:?}", kernel.name, global.space),
                }
            }
            assert_eq!(storage, (1..=kernel.reads + 1).collect(), "{}", kernel.name);
            assert!(
                storage.len() <= 8 && shared <= 16 << 10,
                "{}: {shared} bytes shared",
                kernel.name
            );
        }
    }
    let all: BTreeSet<&str> = KERNELS.iter().map(|kernel| kernel.name).collect();
    assert_eq!(launched, all, "every kernel has a case");
}

#[test]
fn no_launch_writes_over_what_it_or_a_later_one_reads() {
    use super::lower::Source;
    for name in ["tiny-vit", "tiny-resnet", "tiny-rn", "vit-b-32"] {
        let clip = Clip::build(&library::find(name).unwrap());
        for graph in [&clip.image, &clip.text] {
            let weights = weights(graph);
            let lowered: Lowered<'_> = lower(graph, &params_of(graph, &weights), 3, false).unwrap();
            let slots = assign(&lowered);
            // What each buffer holds as the launches go on.
            let mut holds = vec![usize::MAX; slots.lens.len()];
            holds[slots.of[0]] = 0;
            for launch in &lowered.launches {
                for source in &launch.reads {
                    if let Source::Value(value) = source {
                        assert_eq!(holds[slots.of[*value]], *value, "{name}: {}", launch.path);
                        assert_ne!(
                            slots.of[*value], slots.of[launch.writes],
                            "{name}: {}",
                            launch.path
                        );
                    }
                }
                assert!(slots.lens[slots.of[launch.writes]] >= lowered.values[launch.writes]);
                holds[slots.of[launch.writes]] = launch.writes;
            }
            assert!(slots.lens.len() <= 6, "{name}: {} buffers", slots.lens.len());
        }
    }
}

#[test]
fn what_is_too_large_for_a_device_is_refused_with_its_place() {
    let mut g = Graph::new();
    let table = g.param("table", &[4, 6], Init::Normal(1.0), Role::Embedding);
    let x = g.embed("tokens", 3000, table);
    g.scope("block", |g| g.attention("attn", x, 1, false));
    let weights = weights(&g);
    let error = lower(&g, &params_of(&g, &weights), 1, false).unwrap_err().to_string();
    assert!(error.contains("block.attn") && error.contains("3000 tokens"), "{error}");
    let error = lower(&g, &params_of(&g, &weights), 2000, false).unwrap_err().to_string();
    assert!(error.contains("MiB") && !error.contains('\n'), "{error}");
}

#[test]
fn every_kernel_gives_what_the_cpu_gives() {
    let Some(gpu) = gpu() else { return };
    println!("{}", gpu.name());
    for (name, graph) in cases() {
        for examples in [1, 3] {
            let (device, cpu) = both(gpu, &graph, examples, 11);
            let d = deviation(&device, &cpu);
            println!("{name}, {examples} examples: {d:.1e}");
            assert!(d <= TOLERANCE, "{name}, {examples} examples: {d:.1e}");
        }
    }
}

/// Storage in half precision changes no bit of what comes out; weights that it would round stay as they are.
#[test]
fn halves_are_stored_as_halves_and_give_the_same() {
    let Some(gpu) = gpu() else { return };
    if !gpu.halves {
        println!("SKIPPED, {} reads no half precision", gpu.name());
        return;
    }
    let full = pollster::block_on(Gpu::open_with(wgpu::Features::empty())).unwrap();
    assert!(!full.halves);
    let clip = Clip::build(&library::find("tiny-vit").unwrap());
    let graphs = cases().into_iter().map(|(_, graph)| graph).chain([clip.image, clip.text]);
    let mut in_halves = 0;
    for graph in graphs {
        let (given, batch) = (weights(&graph), Batch::random(&graph, 2, 11));
        let stored = |weights: &Weights| {
            let lowered = lower(&graph, &params_of(&graph, weights), 2, true).unwrap();
            lowered.launches.iter().filter(|launch| launch.kernel.half).count()
        };
        assert_eq!(stored(&given), 0, "start values are no halves");
        let weights = rounded(&given);
        let params = params_of(&graph, &weights);
        let run = |gpu: &Gpu| {
            pollster::block_on(async {
                let program = Program::compile(gpu, &graph, &params, 2).await?;
                program.run(batch.inputs(&graph)).await
            })
            .unwrap()
        };
        let bits = |values: Vec<f32>| values.into_iter().map(f32::to_bits).collect::<Vec<_>>();
        assert_eq!(bits(run(gpu)), bits(run(&full)));
        in_halves += stored(&weights);
    }
    assert!(in_halves > 20, "{in_halves} products were stored in halves");
}

#[test]
fn the_comparer_fails_when_one_number_moves() {
    let cpu: Vec<f32> = (0..40).map(|i| (i as f32).sin()).collect();
    assert!(deviation(&Device(cpu.clone()), &Reference(cpu.clone())) <= TOLERANCE);
    let mut moved = cpu.clone();
    moved[17] += 3.0 * TOLERANCE as f32 * (1.0 + moved[17].abs());
    assert!(deviation(&Device(moved.clone()), &Reference(cpu.clone())) > TOLERANCE);
    moved[17] = f32::NAN;
    assert!(deviation(&Device(moved), &Reference(cpu.clone())) > TOLERANCE);
    let turned: Vec<f32> = cpu.iter().map(|x| x + 0.02).collect();
    assert!(cosine(&Device(turned), &Reference(cpu), 40) < COSINE);
}

fn encoder(name: &str, examples: usize, towers: &[&str]) {
    let Some(gpu) = gpu() else { return };
    let clip = Clip::build(&library::find(name).unwrap());
    let both_towers = [("image", &clip.image), ("text", &clip.text)];
    for (tower, graph) in both_towers.into_iter().filter(|(tower, _)| towers.contains(tower)) {
        let (device, cpu) = both(gpu, graph, examples, clip.config.text_cfg.vocab_size);
        let (c, d) = (cosine(&device, &cpu, graph.embed_dim()), deviation(&device, &cpu));
        println!("{name}, {tower}: cosine 1 - {:.1e}, deviation {d:.1e}", 1.0 - c);
        assert!(c >= COSINE, "{name}, {tower}: {c}");
    }
}

#[test]
fn tiny_encoders_embed_alike() {
    for name in ["tiny-vit", "tiny-resnet", "tiny-rn"] {
        encoder(name, 3, &["image", "text"]);
    }
}

#[test]
fn vit_b_32_embeds_alike() {
    encoder("vit-b-32", 1, &["image", "text"]);
}

#[test]
fn rn50_embeds_alike() {
    // Its text tower is that of the other.
    encoder("rn50", 1, &["image"]);
}

/// More texts than one walk takes on the card.
#[cfg(feature = "text")]
#[test]
fn texts_have_the_same_vectors() {
    let Some(gpu) = gpu() else { return };
    let (clip, weights, tokenizer) = crate::text_encoder::tests::fresh(3);
    let width = clip.config.embed_dim;
    let encoder = crate::text_encoder::TextEncoder::new(&clip, weights, tokenizer).unwrap();
    let texts: Vec<String> = (1..=11).map(|i| "a fox ".repeat(i)).collect();
    let here = encoder.embed(&texts).unwrap();
    let card = pollster::block_on(async {
        let tower = encoder.compile(gpu).await?;
        encoder.embed_on(&tower, &texts).await
    });
    let (card, here) = (Device(card.unwrap()), Reference(here));
    let least = cosine(&card, &here, width);
    println!("    11 texts: cosine {least:.9}");
    assert!(card.0.len() == 11 * width && least > 0.9999, "{least}");
    let mut other = card.0.clone();
    other.rotate_left(width);
    assert!(cosine(&Device(other), &here, width) < 0.9999, "texts are told apart");
}

#[test]
fn a_thousand_runs_give_the_same_and_a_lost_device_says_so() {
    if gpu().is_none() {
        return;
    }
    // Its own device, as it is given up.
    let gpu = pollster::block_on(Gpu::open()).unwrap();
    let (_, graph) = cases().remove(3);
    let (weights, batch) = (weights(&graph), Batch::random(&graph, 2, 11));
    let params = params_of(&graph, &weights);
    let program = pollster::block_on(Program::compile(&gpu, &graph, &params, 2)).unwrap();
    let run = || pollster::block_on(program.run(batch.inputs(&graph)));
    let first = run().unwrap();
    for _ in 0..1000 {
        assert_eq!(run().unwrap(), first);
    }
    let other = Inputs::Pixels(&batch.pixels);
    assert!(
        pollster::block_on(program.run(other)).unwrap_err().to_string().contains("other tower")
    );
    let foreign = Inputs::Tokens { ids: &vec![11; batch.ids.len()], end: &batch.end };
    let error = pollster::block_on(program.run(foreign)).unwrap_err().to_string();
    assert!(error.contains("token 11 is none of 11"), "{error}");
    let cut = Inputs::Tokens { ids: &batch.ids[1..], end: &batch.end };
    assert!(pollster::block_on(program.run(cut)).unwrap_err().to_string().contains("no inputs"));
    gpu.destroy();
    // Whether it is noticed while it runs or known before.
    for _ in 0..2 {
        let error = run().unwrap_err().to_string();
        assert!(error.contains("graphics card") && !error.contains('\n'), "{error}");
    }
}
