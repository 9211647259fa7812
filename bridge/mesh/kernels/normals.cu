// Area-weighted vertex normals of a closed mesh (mesh/normals.py), by a walk around each vertex: every vertex is written
// by one thread. TINY is given as a macro.

KERNEL vertex_normals(IN(float) vertices, IN(int) faces, IN(int) twin, IN(int) outgoing, int vertex_count,
                      float* normals, float* lengths)
{
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= vertex_count) return;
    const Triple origin = load(vertices, i);
    Triple sum = {0.0, 0.0, 0.0};
    const int first = outgoing[i];
    for (int h = first; h >= 0;) {
        const int side = h % 3, f = h - side;
        const int next = f + (side + 1) % 3, last = f + (side + 2) % 3;
        const Triple n = cross(load_from(vertices, faces[next], origin), load_from(vertices, faces[last], origin));
        sum.x += n.x;
        sum.y += n.y;
        sum.z += n.z;
        h = twin[last];
        if (h == first) break;
    }
    const double length = sqrt(dot(sum, sum)), inverse = 1.0 / fmax(length, TINY);
    lengths[i] = (float)length;
    normals[3 * (i64)i] = (float)(sum.x * inverse);
    normals[3 * (i64)i + 1] = (float)(sum.y * inverse);
    normals[3 * (i64)i + 2] = (float)(sum.z * inverse);
}
