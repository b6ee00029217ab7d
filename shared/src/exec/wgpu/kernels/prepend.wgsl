// y = a row, then the rows of x, for every example; the rows in front lie `stride` apart, or are one where that is 0.

struct Uniforms { len: u32, rows: u32, columns: u32, stride: u32 }

@group(0) @binding(0) var<uniform> uniforms: Uniforms;
@group(0) @binding(1) var<storage, read> x: array<f32>;       // (B, rows - 1, columns)
@group(0) @binding(2) var<storage, read> first: array<f32>;   // (columns) or (B, columns)
@group(0) @binding(3) var<storage, read_write> y: array<f32>; // (B, rows, columns)

@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) index: u32,
) {
    let i = (group.y * groups.x + group.x) * 256u + index;
    if i >= uniforms.len { return; }
    let column = i % uniforms.columns;
    let row = i / uniforms.columns % uniforms.rows;
    let example = i / (uniforms.columns * uniforms.rows);
    if row == 0u {
        y[i] = first[example * uniforms.stride + column];
    } else {
        y[i] = x[(example * (uniforms.rows - 1u) + row - 1u) * uniforms.columns + column];
    }
}
