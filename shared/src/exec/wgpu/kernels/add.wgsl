// y = activate(a + b), where b starts again after `period` values: a residual, or a parameter for every example.

struct Uniforms { len: u32, period: u32, act: u32 }

@group(0) @binding(0) var<uniform> uniforms: Uniforms;
@group(0) @binding(1) var<storage, read> a: array<f32>;       // (len)
@group(0) @binding(2) var<storage, read> b: array<f32>;       // (period)
@group(0) @binding(3) var<storage, read_write> y: array<f32>; // (len)

@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) index: u32,
) {
    let i = (group.y * groups.x + group.x) * 256u + index;
    if i >= uniforms.len { return; }
    y[i] = activate(uniforms.act, a[i] + b[i % uniforms.period]);
}
