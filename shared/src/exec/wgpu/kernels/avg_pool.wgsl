// y = the mean over windows of `window_height` × `window_width`, which do not overlap. With a window of all rows, the mean row.

struct Uniforms { len: u32, out_height: u32, out_width: u32, channels: u32, window_height: u32, window_width: u32 }

@group(0) @binding(0) var<uniform> uniforms: Uniforms;
@group(0) @binding(1) var<storage, read> x: array<f32>;       // (B, out_height · window_height, out_width · window_width, channels)
@group(0) @binding(2) var<storage, read_write> y: array<f32>; // (B, out_height, out_width, channels)

fn value(i: u32) -> f32 {
    let channel = i % uniforms.channels;
    let column = i / uniforms.channels % uniforms.out_width;
    // Over all pictures: their rows follow each other.
    let row = i / (uniforms.channels * uniforms.out_width);
    let width = uniforms.out_width * uniforms.window_width;
    var sum = 0.0;
    for (var r = 0u; r < uniforms.window_height; r++) {
        for (var c = 0u; c < uniforms.window_width; c++) {
            let at = (row * uniforms.window_height + r) * width + column * uniforms.window_width + c;
            sum += x[at * uniforms.channels + channel];
        }
    }
    return sum / f32(uniforms.window_height * uniforms.window_width);
}
