// One value a thread, for the first `uniforms.len` of them: whatever is put behind this says what `value(i)` is.

@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) index: u32,
) {
    let i = (group.y * groups.x + group.x) * 256u + index;
    if i < uniforms.len { y[i] = value(i); }
}
