// left(row, k) = the k-th value of the window at position `row`: a convolution is a product over windows that are never
// written out. Batch normalisation behind it is in weight and bias already.

struct Uniforms {
    rows: u32, out: u32, inner: u32, act: u32, adds: u32,
    height: u32, width: u32, channels: u32, kernel: u32, stride: u32, pad: u32, out_height: u32, out_width: u32,
}

@group(0) @binding(0) var<uniform> uniforms: Uniforms;
@group(0) @binding(1) var<storage, read> x: array<f32>;        // (B, height, width, channels)
@group(0) @binding(2) var<storage, read> weight: array<Weight>; // (out, kernel, kernel, channels)
@group(0) @binding(3) var<storage, read> bias: array<f32>;     // (out)
@group(0) @binding(4) var<storage, read> residual: array<f32>; // (rows, out) where adds is 1
@group(0) @binding(5) var<storage, read_write> y: array<f32>;  // (B, out_height, out_width, out)

fn left(row: u32, k: u32) -> f32 {
    let channel = k % uniforms.channels;
    let place = k / uniforms.channels;
    let image = row / (uniforms.out_height * uniforms.out_width);
    let at = row % (uniforms.out_height * uniforms.out_width);
    // Above or left of the picture the difference wraps around to a huge number: one comparison finds both sides.
    let r = at / uniforms.out_width * uniforms.stride + place / uniforms.kernel - uniforms.pad;
    let c = at % uniforms.out_width * uniforms.stride + place % uniforms.kernel - uniforms.pad;
    if r >= uniforms.height || c >= uniforms.width { return 0.0; }
    return x[((image * uniforms.height + r) * uniforms.width + c) * uniforms.channels + channel];
}
