// y = activate(a + b), where b starts again after `period` values: a residual, or a parameter for every example.

struct Uniforms { len: u32, period: u32, act: u32 }

@group(0) @binding(0) var<uniform> uniforms: Uniforms;
@group(0) @binding(1) var<storage, read> a: array<f32>;       // (len)
@group(0) @binding(2) var<storage, read> b: array<f32>;       // (period)
@group(0) @binding(3) var<storage, read_write> y: array<f32>; // (len)

fn value(i: u32) -> f32 {
    return activate(uniforms.act, a[i] + b[i % uniforms.period]);
}
