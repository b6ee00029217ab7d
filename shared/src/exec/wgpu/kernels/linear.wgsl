// left = x: a linear layer over all rows of the batch.

struct Uniforms { rows: u32, out: u32, inner: u32, act: u32, adds: u32 }

@group(0) @binding(0) var<uniform> uniforms: Uniforms;
@group(0) @binding(1) var<storage, read> x: array<f32>;        // (rows, inner)
@group(0) @binding(2) var<storage, read> weight: array<Weight>; // (out, inner)
@group(0) @binding(3) var<storage, read> bias: array<f32>;     // (out)
@group(0) @binding(4) var<storage, read> residual: array<f32>; // (rows, out) where adds is 1
@group(0) @binding(5) var<storage, read_write> y: array<f32>;  // (rows, out)

fn left(row: u32, k: u32) -> f32 {
    return x[row * uniforms.inner + k];
}
