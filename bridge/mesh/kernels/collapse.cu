// Which edges collapse (rate_edges, list_collapses, spread_keys, collapse_edges on the CPU), and closing the gaps they leave.
//
// A candidate is taken if its key is the highest of all that touch its ends' two rings. So no two edges that are taken
// share a face or a neighbour, and all collapse in place at the same time.

// Faces that are inverted against their vertex normals or far too small: the corner of the edge to collapse, else -1.
KERNEL flag_faces(IN(float) data, int columns, IN(int) start, IN(int) counts, IN(float) normals, double tolerance,
                  signed char* flagged)
{
    const int f = THREAD;
    if (f >= counts[1]) return;
    const int* corner = start + 3 * (i64)f;
    float edge[3][3], length[3], facing[3] = {0.0f, 0.0f, 0.0f};
    double least = 0.0;
    for (int e = 0; e < 3; e++) {
        const float* p = data + columns * (i64)corner[e];
        const float* q = data + columns * (i64)corner[e < 2 ? e + 1 : 0];
        for (int d = 0; d < 3; d++) {
            edge[e][d] = q[d] - p[d];
            facing[d] += normals[3 * (i64)corner[e] + d];
        }
        length[e] = sqrtf(edge[e][0] * edge[e][0] + edge[e][1] * edge[e][1] + edge[e][2] * edge[e][2]);
        least += p[LENGTH] * (1.0 - tolerance);
    }
    least /= 3.0;
    const float* u = edge[0];
    const float* v = edge[1];
    const float x = u[1] * v[2] - u[2] * v[1], y = u[2] * v[0] - u[0] * v[2], z = u[0] * v[1] - u[1] * v[0];
    int result = -1;
    if (x * facing[0] + y * facing[1] + z * facing[2] < 0.0f || sqrtf(x * x + y * y + z * z) < least * least) {
        result = 0;
        if (length[1] < length[result]) result = 1;
        if (length[2] < length[result]) result = 2;
        const i64 q = ((i64)f * 1103515245 + 12345) & 0x7fffffff;  // in one face of five any edge: no dead ends
        if ((q >> 8) % 10 < 2) result = (int)((q >> 16) % 3);
    }
    flagged[f] = (signed char)result;
}

// How far an edge is below (1 - tolerance) of its target length, 0..1; one more if a face wants it gone.
DEVICE float collapse_priority(const float* data, int columns, const int* twin, const signed char* flagged,
                               double tolerance, int h, int a, int b)
{
    const int g = twin[h];
    const float* p = data + columns * (i64)a;
    const float* q = data + columns * (i64)b;
    const float x = q[0] - p[0], y = q[1] - p[1], z = q[2] - p[2];
    const double limit = 0.5 * (p[LENGTH] * (1.0 - tolerance) + q[LENGTH] * (1.0 - tolerance));
    const float below = fmaxf(0.0f, (float)(1.0 - sqrtf(x * x + y * y + z * z) / limit));
    return below < 1.0f && (flagged[h / 3] == h % 3 || flagged[g / 3] == g % 3) ? below + 1.0f : below;
}

// Each candidate edge (its half-edge from the lower vertex) enters its key [3F] and its ends' best [V], zeros before.
KERNEL rank_collapses(IN(float) data, int columns, IN(int) start, IN(int) twin, IN(int) counts,
                      IN(signed char) flagged, double tolerance, u64* keys, u64* best)
{
    const int h = THREAD;
    if (h >= 3 * counts[1]) return;
    const int a = start[h], b = start[twin[h]];
    u64 key = 0;
    if (a < b) {
        const float priority = collapse_priority(data, columns, twin, flagged, tolerance, h, a, b);
        if (priority > 0.0f) key = (u64)__float_as_uint(priority) << 32 | (0xffffffffu - (unsigned)h);
    }
    keys[h] = key;
    if (key == 0) return;
    atomicMax(best + a, key);
    atomicMax(best + b, key);
}

// The best key within one edge of each vertex.
KERNEL spread_keys(IN(u64) keys, IN(int) start, IN(int) twin, IN(int) outgoing, IN(int) counts, u64* result)
{
    const int i = THREAD;
    if (i >= counts[0]) return;
    u64 best = keys[i];
    const int first = outgoing[i];
    int h = first;
    do {
        const u64 key = keys[start[twin[h]]];
        if (key > best) best = key;
        h = around(twin, h);
    } while (h != first);
    result[i] = best;
}

// The link condition: a and b share exactly the two neighbours c and d, and no degree falls below 3.
DEVICE bool may_collapse(const int* start, const int* twin, const int* degree, int h)
{
    const int g = twin[h], a = start[h], b = start[g];
    const int c = start[previous_half_edge(h)], d = start[previous_half_edge(g)];
    if (c == d || degree[c] <= 3 || degree[d] <= 3 || degree[a] + degree[b] - 4 < 4) return false;
    int common = 0, e = h;
    do {
        int w = g;
        do {
            common += start[twin[e]] == start[twin[w]];
            w = around(twin, w);
        } while (w != g);
        e = around(twin, e);
    } while (e != h);
    return common == 2;
}

// True if moving the start of first to the middle would turn a sound face around it, other than f0 and f1, against the
// surface: against the unit normals [3V] of its corners, and where two become one, of both (merged).
DEVICE bool inverts_a_face(const float* data, int columns, const int* start, const int* twin, const float* normals,
                           int first, int f0, int f1, Triple middle, Triple merged)
{
    const Triple o = position(data, columns, start[first]), own = load(normals, start[first]);
    int e = first;
    do {
        if (e / 3 != f0 && e / 3 != f1) {
            const int i = start[next_half_edge(e)], j = start[previous_half_edge(e)];
            const Triple p = position(data, columns, i), others = plus(load(normals, i), load(normals, j));
            const Triple edge = minus(position(data, columns, j), p);
            if (dot(cross(edge, minus(middle, p)), plus(others, merged)) <= 0.0 &&
                dot(cross(edge, minus(o, p)), plus(others, own)) > 0.0)
                return true;
        }
        e = around(twin, e);
    } while (e != first);
    return false;
}

// Keeps the keys of the edges that are taken. nearby [V]: the best key within two edges of each vertex.
KERNEL choose_collapses(IN(float) data, int columns, IN(int) start, IN(int) twin, IN(int) degree, IN(int) counts,
                        IN(float) normals, IN(u64) nearby, u64* keys)
{
    const int h = THREAD;
    if (h >= 3 * counts[1] || keys[h] == 0) return;
    const int g = twin[h], a = start[h], b = start[g];
    bool taken = nearby[a] == keys[h] && nearby[b] == keys[h] && may_collapse(start, twin, degree, h);
    if (taken) {
        const float* p = data + columns * (i64)a;
        const float* q = data + columns * (i64)b;
        const Triple middle = {(p[0] + q[0]) * 0.5f, (p[1] + q[1]) * 0.5f, (p[2] + q[2]) * 0.5f};  // as it is stored
        const Triple merged = plus(load(normals, a), load(normals, b));
        taken = !inverts_a_face(data, columns, start, twin, normals, h, h / 3, g / 3, middle, merged) &&
                !inverts_a_face(data, columns, start, twin, normals, g, h / 3, g / 3, middle, merged);
    }
    if (!taken) keys[h] = 0;
}

// Collapses every edge with a key to its middle. A removed vertex has degree 0, a removed face starts at -1; the other
// degrees are counted anew later.
KERNEL collapse_edges(float* data, int columns, int* start, int* twin, int* degree, IN(int) counts, IN(u64) keys)
{
    const int h = THREAD;
    if (h >= 3 * counts[1] || keys[h] == 0) return;
    const int g = twin[h], a = start[h], b = start[g];
    const int h1 = next_half_edge(h), h2 = previous_half_edge(h), g1 = next_half_edge(g), g2 = previous_half_edge(g);
    int e = g;
    do {  // b becomes a
        const int following = around(twin, e);
        start[e] = a;
        e = following;
    } while (e != g);
    const int x = twin[h1], y = twin[h2], p = twin[g1], r = twin[g2];
    twin[x] = y;
    twin[y] = x;
    twin[p] = r;
    twin[r] = p;
    start[h] = start[h1] = start[h2] = start[g] = start[g1] = start[g2] = -1;
    degree[b] = 0;
    float* row = data + columns * (i64)a;
    const float* other = data + columns * (i64)b;
    for (int k = 0; k < columns; k++) row[k] = (row[k] + other[k]) * 0.5f;
}

// 1 for each vertex and face that is left, and one 0 behind them: the running sums are their new places.
KERNEL mark_left(IN(int) start, IN(int) degree, IN(int) counts, int* vertex_place, int* face_place)
{
    const int i = THREAD;
    if (i <= counts[0]) vertex_place[i] = i < counts[0] && degree[i] > 0;
    if (i <= counts[1]) face_place[i] = i < counts[1] && start[3 * (i64)i] >= 0;
}

KERNEL compact(IN(float) data, int columns, IN(int) start, IN(int) twin, IN(int) degree, IN(int) counts,
               IN(int) vertex_place, IN(int) face_place, float* new_data, int* new_start, int* new_twin,
               int* new_counts)
{
    const int i = THREAD;
    if (i == 0) {
        new_counts[0] = vertex_place[counts[0]];
        new_counts[1] = face_place[counts[1]];
    }
    if (i < counts[0] && degree[i] > 0)
        for (int k = 0; k < columns; k++) new_data[columns * (i64)vertex_place[i] + k] = data[columns * (i64)i + k];
    if (i < counts[1] && start[3 * (i64)i] >= 0)
        for (int e = 0; e < 3; e++) {
            const i64 h = 3 * (i64)i + e, place = 3 * (i64)face_place[i] + e;
            new_start[place] = vertex_place[start[h]];
            new_twin[place] = 3 * face_place[twin[h] / 3] + twin[h] % 3;
        }
}
