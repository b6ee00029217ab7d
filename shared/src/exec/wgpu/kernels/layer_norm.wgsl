// y = (x - mean) / sqrt(var + eps) · gain + bias over each row. The variance is taken around the mean, in a second pass:
// the mean of squares minus the square of the mean loses all digits where the mean is large.

struct Uniforms { rows: u32, columns: u32, eps: f32 }

@group(0) @binding(0) var<uniform> uniforms: Uniforms;
@group(0) @binding(1) var<storage, read> x: array<f32>;       // (rows, columns)
@group(0) @binding(2) var<storage, read> gain: array<f32>;    // (columns)
@group(0) @binding(3) var<storage, read> bias: array<f32>;    // (columns)
@group(0) @binding(4) var<storage, read_write> y: array<f32>; // (rows, columns)

const THREADS: u32 = 64u;
var<workgroup> parts: array<f32, 64>;

// The sum over all threads, in an order that does not depend on the device.
fn total(index: u32, part: f32) -> f32 {
    parts[index] = part;
    for (var half = THREADS / 2u; half > 0u; half /= 2u) {
        workgroupBarrier();
        if index < half { parts[index] += parts[index + half]; }
    }
    workgroupBarrier();
    let sum = parts[0];
    workgroupBarrier();
    return sum;
}

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) index: u32,
) {
    let row = group.y * groups.x + group.x;
    // The same for the whole workgroup, as barriers ask.
    if row >= uniforms.rows { return; }
    let start = row * uniforms.columns;
    var sum = 0.0;
    for (var c = index; c < uniforms.columns; c += THREADS) { sum += x[start + c]; }
    let mean = total(index, sum) / f32(uniforms.columns);
    sum = 0.0;
    for (var c = index; c < uniforms.columns; c += THREADS) {
        let d = x[start + c] - mean;
        sum += d * d;
    }
    let scale = inverseSqrt(total(index, sum) / f32(uniforms.columns) + uniforms.eps);
    for (var c = index; c < uniforms.columns; c += THREADS) {
        y[start + c] = (x[start + c] - mean) * scale * gain[c] + bias[c];
    }
}
