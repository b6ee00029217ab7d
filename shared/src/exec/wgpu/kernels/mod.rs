//! Kernels: one WGSL file each. Whatever a kernel needs to know of a step goes into its uniforms by name; where several
//! share a part, that part is put in front of their files.

use crate::graph::Act;

/// Threads of a workgroup in kernels that compute one value a thread.
const THREADS: usize = 256;
/// Edge of the part of a product that one workgroup computes.
const TILE: usize = 64;
/// Workgroups along one axis of a grid: WebGPU's default limit.
pub(super) const MOST_GROUPS: usize = 65_535;
/// Keys whose scores fit into the shared memory of the attention kernel.
pub(super) const MOST_KEYS: usize = 2_048;

/// One kernel. It reads `uniforms` at binding 0, then `reads` buffers, and writes the last binding.
#[derive(Debug)]
pub struct Kernel {
    /// The stem of its file, and behind it what it reads in half precision.
    pub name: &'static str,
    /// All of its WGSL.
    pub source: &'static str,
    /// Buffers that it reads.
    pub reads: usize,
    /// Whether its weights are stored in half precision, which not every device reads.
    pub half: bool,
}

macro_rules! kernels {
    ($($(#[$doc:meta])* $kernel:ident = $name:literal $(with $half:literal)?, $reads:literal, [$($part:literal),*];)*) => {
        $($(#[$doc])* pub static $kernel: Kernel = Kernel {
            name: concat!($name, $("-", $half)?),
            source: concat!(
                $(include_str!(concat!($half, ".wgsl")), "\n",)?
                $(include_str!(concat!($part, ".wgsl")), "\n",)*
                include_str!(concat!($name, ".wgsl"))
            ),
            reads: $reads,
            half: !concat!($($half)?).is_empty(),
        };)*
        /// All kernels.
        pub static KERNELS: &[&Kernel] = &[$(&$kernel),*];
    };
}

kernels! {
    /// x · Wᵀ + b, what is added, and the activation.
    LINEAR = "linear", 4, ["full", "act", "product"];
    /// The same with weights of half precision.
    LINEAR_HALF = "linear" with "half", 4, ["act", "product"];
    /// The same over windows of a picture.
    CONV2D = "conv2d", 4, ["full", "act", "product"];
    /// And that with weights of half precision.
    CONV2D_HALF = "conv2d" with "half", 4, ["act", "product"];
    /// Normalisation of rows.
    LAYER_NORM = "layer_norm", 3, [];
    /// Attention of one query.
    ATTENTION = "attention", 3, [];
    /// Sums and their activation.
    ADD = "add", 2, ["act", "each"];
    /// Normalisation of columns by known statistics.
    AFFINE = "affine", 3, ["act", "each"];
    /// Rows behind others.
    JOIN = "join", 2, ["each"];
    /// Some rows.
    PICK = "pick", 2, ["each"];
    /// Means over windows.
    AVG_POOL = "avg_pool", 1, ["each"];
}

/// The number by which `act.wgsl` knows an activation.
pub(super) fn code(act: Option<Act>) -> u32 {
    match act {
        None => 0,
        Some(Act::Relu) => 1,
        Some(Act::Gelu) => 2,
        Some(Act::QuickGelu) => 3,
    }
}

/// The grid of a kernel that computes one of `len` values a thread.
pub(super) fn each(len: usize) -> [usize; 3] {
    folded(len.div_ceil(THREADS))
}

/// `groups` workgroups in two axes, as one may be too short for them.
pub(super) fn folded(groups: usize) -> [usize; 3] {
    let x = groups.clamp(1, MOST_GROUPS);
    [x, groups.div_ceil(x).max(1), 1]
}

/// The grid of a product with `rows` × `out` results.
pub(super) fn tiles(rows: usize, out: usize) -> [usize; 3] {
    [out.div_ceil(TILE), rows.div_ceil(TILE), 1]
}
