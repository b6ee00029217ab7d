// y = some rows of each example: the first ones, or from that on in which its text ends.

struct Uniforms { len: u32, rows: u32, columns: u32, count: u32, at_end: u32 }

@group(0) @binding(0) var<uniform> uniforms: Uniforms;
@group(0) @binding(1) var<storage, read> x: array<f32>;       // (B, rows, columns)
@group(0) @binding(2) var<storage, read> end: array<u32>;     // (B)
@group(0) @binding(3) var<storage, read_write> y: array<f32>; // (B, count, columns)

fn value(i: u32) -> f32 {
    let size = uniforms.count * uniforms.columns;
    let example = i / size;
    var row = 0u;
    if uniforms.at_end == 1u { row = min(end[example], uniforms.rows - 1u); }
    return x[(example * uniforms.rows + row) * uniforms.columns + i % size];
}
