// y = activate(x · scale + shift) for each column: batch normalisation that stands behind no product.

struct Uniforms { len: u32, columns: u32, act: u32 }

@group(0) @binding(0) var<uniform> uniforms: Uniforms;
@group(0) @binding(1) var<storage, read> x: array<f32>;       // (rows, columns)
@group(0) @binding(2) var<storage, read> scale: array<f32>;   // (columns)
@group(0) @binding(3) var<storage, read> shift: array<f32>;   // (columns)
@group(0) @binding(4) var<storage, read_write> y: array<f32>; // (rows, columns)

fn value(i: u32) -> f32 {
    let column = i % uniforms.columns;
    return activate(uniforms.act, x[i] * scale[column] + shift[column]);
}
