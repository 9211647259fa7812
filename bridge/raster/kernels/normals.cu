// The way back through the vertex normals (mesh/normals.py), by a walk around each vertex: every vertex is written by one
// thread, so nothing depends on the order of the threads.

// The sums by unit normals -> gradient [V, 3] by the summed cross products.
KERNEL normalisation_backward(IN(i64) sums, IN(float) normals, IN(float) lengths, int vertex_count,
                              float* gradient)
{
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= vertex_count) return;
    const i64* s = sums + 6 * (i64)i + 3;
    const Triple g = {s[0] / GRADIENT_UNIT, s[1] / GRADIENT_UNIT, s[2] / GRADIENT_UNIT}, n = load(normals, i);
    const double inverse = 1.0 / fmax((double)lengths[i], TINY), d = dot(n, g);
    gradient[3 * (i64)i] = (float)((g.x - d * n.x) * inverse);
    gradient[3 * (i64)i + 1] = (float)((g.y - d * n.y) * inverse);
    gradient[3 * (i64)i + 2] = (float)((g.z - d * n.z) * inverse);
}

// result: 8 bytes of loss (double), then the gradient [V, 3] by the positions; both times scale.
KERNEL finish(IN(float) vertices, IN(int) faces, IN(int) twin, IN(int) outgoing, int vertex_count,
              IN(i64) sums, IN(float) g_normals, IN(i64) losses, double length, double scale, float* result)
{
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i == 0) {
        i64 total = 0;
        for (int cell = 0; cell < LOSS_CELLS; cell++) total += losses[cell];
        *(double*)result = total / LOSS_UNIT * scale;
    }
    if (i >= vertex_count) return;
    const i64* s = sums + 6 * (i64)i;
    const double unit = GRADIENT_UNIT * length;
    Triple sum = {s[0] / unit, s[1] / unit, s[2] / unit};
    const int first = outgoing[i];
    for (int h = first; h >= 0;) {
        const int side = h % 3, f = h - side;
        const int next = f + (side + 1) % 3, last = f + (side + 2) % 3;
        const int j = faces[next], k = faces[last];
        const Triple gi = load(g_normals, i), gj = load(g_normals, j), gk = load(g_normals, k);
        const Triple e = load_from(vertices, j, load(vertices, k));
        const Triple g = cross(e, {gi.x + gj.x + gk.x, gi.y + gj.y + gk.y, gi.z + gj.z + gk.z});
        sum.x += g.x;
        sum.y += g.y;
        sum.z += g.z;
        h = twin[last];
        if (h == first) break;
    }
    float* out = result + 2 + 3 * (i64)i;
    out[0] = (float)(sum.x * scale);
    out[1] = (float)(sum.y * scale);
    out[2] = (float)(sum.z * scale);
}
