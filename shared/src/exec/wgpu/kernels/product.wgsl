// y = activate(left · weightᵀ + bias + residual): the part that linear layers and convolutions share. What is put behind this
// says what `left` is, what is put before it how weights are stored. A workgroup computes 64 × 64 results, a thread 4 × 4 of
// them, from tiles in shared memory: every value that is fetched is used 64 times.

const TILE: u32 = 64u;
const DEPTH: u32 = 16u;
const THREADS: u32 = 256u;

var<workgroup> left_tile: array<f32, 1024>;   // (DEPTH, TILE)
var<workgroup> weight_tile: array<f32, 1024>; // (DEPTH, TILE)

@compute @workgroup_size(16, 16)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(local_invocation_id) thread: vec3<u32>,
    @builtin(local_invocation_index) index: u32,
) {
    let row0 = group.y * TILE;
    let column0 = group.x * TILE;
    var sums: array<vec4<f32>, 4>;
    for (var k0 = 0u; k0 < uniforms.inner; k0 += DEPTH) {
        for (var e = index; e < TILE * DEPTH; e += THREADS) {
            // Neighbours read along k, which is how both matrices lie in memory.
            let k = e % DEPTH;
            let r = e / DEPTH;
            var l = 0.0;
            var w = 0.0;
            if k0 + k < uniforms.inner {
                if row0 + r < uniforms.rows { l = left(row0 + r, k0 + k); }
                if column0 + r < uniforms.out { w = f32(weight[(column0 + r) * uniforms.inner + k0 + k]); }
            }
            left_tile[k * TILE + r] = l;
            weight_tile[k * TILE + r] = w;
        }
        workgroupBarrier();
        for (var k = 0u; k < DEPTH; k++) {
            let a = k * TILE + thread.y * 4u;
            let b = k * TILE + thread.x * 4u;
            let w = vec4(weight_tile[b], weight_tile[b + 1u], weight_tile[b + 2u], weight_tile[b + 3u]);
            sums[0] += left_tile[a] * w;
            sums[1] += left_tile[a + 1u] * w;
            sums[2] += left_tile[a + 2u] * w;
            sums[3] += left_tile[a + 3u] * w;
        }
        workgroupBarrier();
    }
    for (var i = 0u; i < 4u; i++) {
        let row = row0 + thread.y * 4u + i;
        for (var j = 0u; j < 4u; j++) {
            let column = column0 + thread.x * 4u + j;
            if row < uniforms.rows && column < uniforms.out {
                let at = row * uniforms.out + column;
                var value = sums[i][j] + bias[column];
                if uniforms.adds == 1u { value += residual[at]; }
                y[at] = activate(uniforms.act, value);
            }
        }
    }
}
