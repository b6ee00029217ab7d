// y = the rows of `first`, then those of `second`, for every example. Either may be one for all examples: its stride is 0 then.

struct Uniforms { len: u32, rows: u32, columns: u32, before: u32, first_stride: u32, second_stride: u32 }

@group(0) @binding(0) var<uniform> uniforms: Uniforms;
@group(0) @binding(1) var<storage, read> first: array<f32>;   // (B or 1, before, columns)
@group(0) @binding(2) var<storage, read> second: array<f32>;  // (B or 1, rows - before, columns)
@group(0) @binding(3) var<storage, read_write> y: array<f32>; // (B, rows, columns)

fn value(i: u32) -> f32 {
    let size = uniforms.rows * uniforms.columns;
    let example = i / size;
    let at = i % size;
    let border = uniforms.before * uniforms.columns;
    if at < border { return first[example * uniforms.first_stride + at]; }
    return second[example * uniforms.second_stride + at - border];
}
