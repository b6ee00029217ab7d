// y = the rows of `first`, then those of `second`, for every example. Either may be one for all examples: its stride is 0 then.

struct Uniforms { len: u32, rows: u32, columns: u32, before: u32, first_stride: u32, second_stride: u32 }

@group(0) @binding(0) var<uniform> uniforms: Uniforms;
@group(0) @binding(1) var<storage, read> first: array<f32>;   // (B or 1, before, columns)
@group(0) @binding(2) var<storage, read> second: array<f32>;  // (B or 1, rows - before, columns)
@group(0) @binding(3) var<storage, read_write> y: array<f32>; // (B, rows, columns)

@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) index: u32,
) {
    let i = (group.y * groups.x + group.x) * 256u + index;
    if i >= uniforms.len { return; }
    let size = uniforms.rows * uniforms.columns;
    let example = i / size;
    let at = i % size;
    let border = uniforms.before * uniforms.columns;
    if at < border {
        y[i] = first[example * uniforms.first_stride + at];
    } else {
        y[i] = second[example * uniforms.second_stride + at - border];
    }
}
