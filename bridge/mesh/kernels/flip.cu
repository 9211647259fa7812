// Edges that flip towards degree 6 (flip_edges on the CPU), in rounds: in each those whose key is the highest at all
// four vertices of their two faces. Those share no vertex, so they flip in place at the same time.

// True if a face of the flipped pair (a, d, c), (b, c, d) would not face the way the pair faces now.
DEVICE bool flip_turns_a_face(const float* data, int columns, int a, int b, int c, int d)
{
    const Triple pa = position(data, columns, a), pb = position(data, columns, b);
    const Triple pc = position(data, columns, c), pd = position(data, columns, d);
    const Triple pair = cross(minus(pb, pa), minus(minus(pc, pa), minus(pd, pa)));
    return dot(pair, cross(minus(pd, pa), minus(pc, pa))) <= 0.0 ||
           dot(pair, cross(minus(pc, pb), minus(pd, pb))) <= 0.0;
}

// The unit normal at the start of h.
DEVICE Triple normal_at(const float* data, int columns, const int* start, const int* twin, int h)
{
    const Triple o = position(data, columns, start[h]);
    Triple sum = {0.0, 0.0, 0.0};
    int e = h;
    do {
        const Triple p = position(data, columns, start[next_half_edge(e)]);
        const Triple q = position(data, columns, start[previous_half_edge(e)]);
        sum = plus(sum, cross(minus(p, o), minus(q, o)));
        e = around(twin, e);
    } while (e != h);
    const double inverse = 1.0 / fmax(sqrt(dot(sum, sum)), TINY);
    return {sum.x * inverse, sum.y * inverse, sum.z * inverse};
}

// True if the face (i, j, k) points against the surface, whose normals at its corners are p, q and r.
DEVICE bool faces_against(const float* data, int columns, int i, int j, int k, Triple p, Triple q, Triple r)
{
    const Triple o = position(data, columns, i);
    const Triple n = cross(minus(position(data, columns, j), o), minus(position(data, columns, k), o));
    return dot(n, plus(plus(p, q), r)) <= 0.0;
}

// True if one of the two faces that the flip of h makes would point against the surface as it is.
DEVICE bool flip_inverts_a_face(const float* data, int columns, const int* start, const int* twin, int h)
{
    const int g = twin[h], h2 = previous_half_edge(h), g2 = previous_half_edge(g);
    const int a = start[h], b = start[g], c = start[h2], d = start[g2];
    const Triple at_c = normal_at(data, columns, start, twin, h2), at_d = normal_at(data, columns, start, twin, g2);
    return faces_against(data, columns, a, d, c, normal_at(data, columns, start, twin, h), at_d, at_c) ||
           faces_against(data, columns, b, c, d, normal_at(data, columns, start, twin, g), at_c, at_d);
}

// How much closer to 6 the degrees come by the flip of h (h starts at the lower vertex), 0 if it must not flip.
DEVICE int flip_gain(const float* data, int columns, const int* start, const int* twin, const int* degree, int h)
{
    const int g = twin[h], a = start[h], b = start[g];
    if (a > b) return 0;
    const int h2 = previous_half_edge(h), g2 = previous_half_edge(g), c = start[h2], d = start[g2];
    const int gain = degree[a] + degree[b] - degree[c] - degree[d] - 2;
    if (gain <= 0 || degree[a] <= 3 || degree[b] <= 3 || c == d) return 0;
    if (flip_turns_a_face(data, columns, a, b, c, d)) return 0;
    int e = h2;
    do {  // no edge twice
        if (start[twin[e]] == d) return 0;
        e = around(twin, e);
    } while (e != h2);
    return flip_inverts_a_face(data, columns, start, twin, h) ? 0 : gain;
}

// keys [3F]: the gain above, the half-edge below, shuffled (2654435761 is odd, so no two are the same): by plain numbers
// neighbours would wait for each other in long rows. best [V]: zeros before.
KERNEL rank_flips(IN(float) data, int columns, IN(int) start, IN(int) twin, IN(int) degree, IN(int) counts,
                  u64* keys, u64* best)
{
    const int h = THREAD;
    if (h >= 3 * counts[1]) return;
    const int gain = flip_gain(data, columns, start, twin, degree, h), g = twin[h];
    const u64 key = gain > 0 ? (u64)gain << 32 | (unsigned)h * 2654435761u : 0;
    keys[h] = key;
    if (key == 0) return;
    atomicMax(best + start[h], key);
    atomicMax(best + start[g], key);
    atomicMax(best + start[previous_half_edge(h)], key);
    atomicMax(best + start[previous_half_edge(g)], key);
}

KERNEL choose_flips(IN(int) start, IN(int) twin, IN(int) counts, IN(u64) best, u64* keys)
{
    const int h = THREAD;
    if (h >= 3 * counts[1] || keys[h] == 0) return;
    const int g = twin[h];
    const u64 key = keys[h];
    if (best[start[h]] != key || best[start[g]] != key || best[start[previous_half_edge(h)]] != key ||
        best[start[previous_half_edge(g)]] != key)
        keys[h] = 0;
}

KERNEL flip_edges(int* start, int* twin, int* degree, IN(int) counts, IN(u64) keys)
{
    const int h = THREAD;
    if (h >= 3 * counts[1] || keys[h] == 0) return;
    const int g = twin[h], h1 = next_half_edge(h), h2 = previous_half_edge(h);
    const int g1 = next_half_edge(g), g2 = previous_half_edge(g);
    const int a = start[h], b = start[g], c = start[h2], d = start[g2];
    const int th1 = twin[h1], th2 = twin[h2], tg1 = twin[g1], tg2 = twin[g2];
    start[h] = d, start[h1] = c, start[h2] = a;
    start[g] = c, start[g1] = d, start[g2] = b;
    twin[h1] = th2, twin[th2] = h1;
    twin[h2] = tg1, twin[tg1] = h2;
    twin[g1] = tg2, twin[tg2] = g1;
    twin[g2] = th1, twin[th1] = g2;
    degree[a]--, degree[b]--, degree[c]++, degree[d]++;
}
