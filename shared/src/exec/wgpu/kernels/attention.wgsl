// y = softmax(q · kᵀ · scale) · v for one query of one head of one example a workgroup. Scores stay in shared memory and are
// never written out; their maximum is taken off before the exponential, so that nothing overflows.

struct Uniforms {
    queries: u32, keys: u32, heads: u32, dim: u32, scale: f32,
    // Of a row of queries, and of a row of keys and values with where its keys and values begin.
    query_stride: u32, stride: u32, key: u32, value: u32,
    // Which keys are seen: 0 all, 1 those up to the query's own row, 2 the first, 3 those up to the end of the text.
    visible: u32,
}

@group(0) @binding(0) var<uniform> uniforms: Uniforms;
@group(0) @binding(1) var<storage, read> q: array<f32>;       // (B, queries, query_stride)
@group(0) @binding(2) var<storage, read> kv: array<f32>;      // (B, keys, stride)
@group(0) @binding(3) var<storage, read> end: array<u32>;     // (B)
@group(0) @binding(4) var<storage, read_write> y: array<f32>; // (B, queries, heads · dim)

const THREADS: u32 = 64u;
var<workgroup> scores: array<f32, 2048>;
var<workgroup> parts: array<f32, 64>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) index: u32) {
    let query = group.x;
    let head = group.y;
    let example = group.z;
    var seen = uniforms.keys;
    switch uniforms.visible {
        case 1u: { seen = query + 1u; }
        case 2u: { seen = 1u; }
        case 3u: { seen = min(end[example] + 1u, uniforms.keys); }
        default: {}
    }
    let q0 = (example * uniforms.queries + query) * uniforms.query_stride + head * uniforms.dim;
    let kv0 = example * uniforms.keys * uniforms.stride + head * uniforms.dim;

    var most = -3.0e38;
    for (var j = index; j < seen; j += THREADS) {
        let k0 = kv0 + j * uniforms.stride + uniforms.key;
        var sum = 0.0;
        for (var c = 0u; c < uniforms.dim; c++) { sum += q[q0 + c] * kv[k0 + c]; }
        scores[j] = sum * uniforms.scale;
        most = max(most, scores[j]);
    }
    parts[index] = most;
    workgroupBarrier();
    for (var t = 0u; t < THREADS; t++) { most = max(most, parts[t]); }
    workgroupBarrier();
    var sum = 0.0;
    for (var j = index; j < seen; j += THREADS) {
        scores[j] = exp(scores[j] - most);
        sum += scores[j];
    }
    parts[index] = sum;
    workgroupBarrier();
    sum = 0.0;
    for (var t = 0u; t < THREADS; t++) { sum += parts[t]; }

    let y0 = (example * uniforms.queries + query) * uniforms.heads * uniforms.dim + head * uniforms.dim;
    for (var c = index; c < uniforms.dim; c += THREADS) {
        var value = 0.0;
        for (var j = 0u; j < seen; j++) {
            value += scores[j] * kv[kv0 + j * uniforms.stride + uniforms.value + c];
        }
        y[y0 + c] = value / sum;
    }
}
