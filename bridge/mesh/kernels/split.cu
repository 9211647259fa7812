// Edges that are too long get a vertex in their middle, all at once (list_splits, split_edges on the CPU).
//
// A face is cut from the middle of the longest of its edges that split to the opposite corner, then each half towards
// the middle of the other edge that splits: what cutting edge after edge, longest first, comes to.

DEVICE int rank_bin(float rank)  // the longest edges are in the first bins
{
    const int bin = ((int)__float_as_uint(rank) - (int)__float_as_uint(1.0f)) >> 15;
    return RANK_BINS - 1 - (bin < 0 ? 0 : bin < RANK_BINS ? bin : RANK_BINS - 1);
}

// ranks [3F]: (length / limit)^2 of an edge above its limit, (1 + tolerance) of its target, else 0; for both its
// half-edges. bins [RANK_BINS + 1], zeros before: how many edges each holds.
KERNEL rank_splits(IN(float) data, int columns, IN(int) start, IN(int) twin, IN(int) counts, double tolerance,
                   float* ranks, int* bins)
{
    const int h = THREAD;
    if (h >= 3 * counts[1]) return;
    const int g = twin[h];
    if (h > g) return;
    const float* p = data + columns * (i64)start[h];
    const float* q = data + columns * (i64)start[g];
    const float x = p[0] - q[0], y = p[1] - q[1], z = p[2] - q[2], squared = x * x + y * y + z * z;
    const double limit = 0.5f * (p[LENGTH] + q[LENGTH]) * (1.0 + tolerance);
    const float rank = squared > limit * limit ? (float)(squared / (limit * limit)) : 0.0f;
    ranks[h] = ranks[g] = rank;
    if (rank > 0.0f) atomicAdd(bins + rank_bin(rank), 1);
}

// Keeps the ranks of the longest edges, bin by bin, as long as no more than max_vertices come out; counts for each face
// the edges that split, and those whose lower half-edge it has: for these it makes the vertex. bins: running sums.
KERNEL choose_splits(IN(int) twin, IN(int) counts, int face_limit, int max_vertices, IN(int) bins, float* ranks,
                     int* vertex_place, int* face_place)
{
    const int f = THREAD;
    if (f > face_limit) return;
    int vertices = 0, faces = 0;
    for (int h = 3 * f; f < counts[1] && h < 3 * f + 3; h++) {
        if (ranks[h] > 0.0f && counts[0] + bins[rank_bin(ranks[h]) + 1] <= max_vertices) {
            faces++;
            vertices += h < twin[h];
        } else {
            ranks[h] = 0.0f;
        }
    }
    vertex_place[f] = vertices;
    face_place[f] = faces;
}

// The number of the vertex in the middle of the edge of h; vertex_place: running sums.
DEVICE int middle_of(const int* twin, const float* ranks, const int* vertex_place, int vertex_count, int h)
{
    const int lower = h < twin[h] ? h : twin[h], f = lower / 3;
    int m = vertex_count + vertex_place[f];
    for (int e = 3 * f; e < lower; e++) m += ranks[e] > 0.0f && e < twin[e];
    return m;
}

DEVICE void write_face(int* start, int h, int a, int b, int c)
{
    start[h] = a;
    start[h + 1] = b;
    start[h + 2] = c;
}

DEVICE void write_twins(int* twin, int h, int g)
{
    twin[h] = g;
    twin[g] = h;
}

// Writes the vertices and faces that come of each face, the twins inside it, and where the one or two parts of each of
// its half-edges have gone: moved [3F, 2].
KERNEL split_faces(float* data, int columns, IN(int) start, IN(int) twin, IN(int) counts, IN(float) ranks,
                   IN(int) vertex_place, IN(int) face_place, int face_limit, int* new_start, int* new_twin, int* moved,
                   int* new_counts)
{
    const int f = THREAD;
    if (f == 0) {
        new_counts[0] = counts[0] + vertex_place[face_limit];
        new_counts[1] = counts[1] + face_place[face_limit];
    }
    if (f >= counts[1]) return;
    int longest = 0, corner[3], middle[3], side[3];
    for (int e = 1; e < 3; e++)
        if (ranks[3 * f + e] > ranks[3 * f + longest]) longest = e;
    for (int e = 0; e < 3; e++) {  // side 0 is the longest
        const int h = side[e] = 3 * f + (longest + e) % 3;
        corner[e] = start[h];
        middle[e] = ranks[h] > 0.0f ? middle_of(twin, ranks, vertex_place, counts[0], h) : -1;
        if (middle[e] >= 0 && h < twin[h]) {
            float* row = data + columns * (i64)middle[e];
            const float* a = data + columns * (i64)start[h];
            const float* b = data + columns * (i64)start[twin[h]];
            for (int k = 0; k < columns; k++) row[k] = (a[k] + b[k]) * 0.5f;
        }
    }
    const int near = 3 * f;  // the half at corner 0, in the face's old place
    if (middle[0] < 0) {
        write_face(new_start, near, corner[0], corner[1], corner[2]);
        for (int e = 0; e < 3; e++) moved[2 * side[e]] = near + e;
        return;
    }
    const int far = 3 * (counts[1] + face_place[f]);  // the half at corner 1, among the new faces
    int place = far + 3, near_cut = near + 1, far_cut = far + 2;  // the two sides of the cut to the opposite corner
    moved[2 * side[0]] = near;
    moved[2 * side[0] + 1] = far;
    if (middle[2] < 0) {
        write_face(new_start, near, corner[0], middle[0], corner[2]);
        moved[2 * side[2]] = near + 2;
    } else {
        near_cut = place + 1;
        write_face(new_start, near, corner[0], middle[0], middle[2]);
        write_face(new_start, place, middle[2], middle[0], corner[2]);
        write_twins(new_twin, near + 1, place);
        moved[2 * side[2]] = place + 2;
        moved[2 * side[2] + 1] = near + 2;
        place += 3;
    }
    if (middle[1] < 0) {
        write_face(new_start, far, middle[0], corner[1], corner[2]);
        moved[2 * side[1]] = far + 1;
    } else {
        far_cut = place + 2;
        write_face(new_start, far, middle[0], corner[1], middle[1]);
        write_face(new_start, place, middle[0], middle[1], corner[2]);
        write_twins(new_twin, far + 2, place);
        moved[2 * side[1]] = far + 1;
        moved[2 * side[1] + 1] = place + 1;
    }
    write_twins(new_twin, near_cut, far_cut);
}

// The twins between faces; counts are those before the split.
KERNEL link_faces(IN(int) twin, IN(int) counts, IN(float) ranks, IN(int) moved, int* new_twin)
{
    const int h = THREAD;
    if (h >= 3 * counts[1]) return;
    const int g = twin[h], split = ranks[h] > 0.0f;
    new_twin[moved[2 * h]] = moved[2 * g + split];
    if (split) new_twin[moved[2 * h + 1]] = moved[2 * g];
}
