// Faces that pass through each other (intersections.py): a tree of boxes over the faces in the order of memory, which
// sort_memory() keeps near the order in space. Node 1 is the root, node i has the children 2i and 2i + 1, and node
// leaves + f is face f; boxes [2 * leaves, 6] are low and high corners, those of the leaves after the last face are empty.

DEVICE void merge_box(float* box, const float* other)
{
    for (int d = 0; d < 3; d++) {
        box[d] = fminf(box[d], other[d]);
        box[d + 3] = fmaxf(box[d + 3], other[d + 3]);
    }
}

KERNEL fit_leaves(IN(float) vertices, IN(int) faces, int face_count, int leaves, float* boxes)
{
    const int f = THREAD;
    if (f >= leaves) return;
    float* box = boxes + 6 * ((i64)leaves + f);
    for (int d = 0; d < 3; d++) {
        box[d] = 3e38f;
        box[d + 3] = -3e38f;
    }
    if (f >= face_count) return;
    for (int e = 0; e < 3; e++) {
        const float* v = vertices + 3 * (i64)faces[3 * f + e];
        const float corner[6] = {v[0], v[1], v[2], v[0], v[1], v[2]};
        merge_box(box, corner);
    }
}

// The nodes first .. 2 * first - 1, whose children have their boxes.
KERNEL fit_nodes(int first, float* boxes)
{
    const int node = first + THREAD;
    if (node >= 2 * first) return;
    float* box = boxes + 6 * (i64)node;
    for (int d = 0; d < 6; d++) box[d] = boxes[12 * (i64)node + d];
    merge_box(box, boxes + 12 * (i64)node + 6);
}

// Six times the signed volume of the tetrahedron a b c d.
DEVICE double volume_of(const float* vertices, int a, int b, int c, int d)
{
    const Triple origin = load(vertices, a);
    return dot(load_from(vertices, b, origin),
               cross(load_from(vertices, c, origin), load_from(vertices, d, origin)));
}

DEVICE bool edge_cuts_face(const float* v, int p, int q, int a, int b, int c)
{
    if (volume_of(v, a, b, c, p) * volume_of(v, a, b, c, q) >= 0.0) return false;
    const double u = volume_of(v, p, q, a, b), w = volume_of(v, p, q, b, c), x = volume_of(v, p, q, c, a);
    return (u > 0.0 && w > 0.0 && x > 0.0) || (u < 0.0 && w < 0.0 && x < 0.0);
}

// Edges of face f against face g; an edge that ends in a shared vertex only touches there.
DEVICE bool edges_cut(const float* vertices, const int* faces, int f, int g)
{
    const int a = faces[3 * g], b = faces[3 * g + 1], c = faces[3 * g + 2];
    for (int e = 0; e < 3; e++) {
        const int p = faces[3 * f + e], q = faces[3 * f + (e + 1) % 3];
        if (p == a || p == b || p == c || q == a || q == b || q == c) continue;
        if (edge_cuts_face(vertices, p, q, a, b, c)) return true;
    }
    return false;
}

DEVICE bool boxes_meet(const float* a, const float* b)
{
    for (int d = 0; d < 3; d++)
        if (a[d] > b[d + 3] || a[d + 3] < b[d]) return false;
    return true;
}

// crossing [V], zeros before: 1 for the corners of faces that cross. Each pair is met once, by the one of it that comes
// first: its thread walks through all of the tree that comes later.
KERNEL mark_crossing(IN(float) vertices, IN(int) faces, int face_count, int leaves, IN(float) boxes, int* crossing)
{
    const int f = THREAD;
    if (f >= face_count) return;
    const float* box = boxes + 6 * ((i64)leaves + f);
    int node = leaves + f;
    for (;;) {
        while (node & 1) node >>= 1;  // up from right children, ...
        if (node == 0) return;
        node++;  // ... then over to the right, and down as long as the boxes meet
        while (node < leaves && boxes_meet(boxes + 6 * (i64)node, box)) node *= 2;
        if (node < leaves || !boxes_meet(boxes + 6 * (i64)node, box)) continue;
        const int g = node - leaves;
        if (!edges_cut(vertices, faces, f, g) && !edges_cut(vertices, faces, g, f)) continue;
        for (int e = 0; e < 3; e++) {
            atomicMax(crossing + faces[3 * f + e], 1);
            atomicMax(crossing + faces[3 * g + e], 1);
        }
    }
}
