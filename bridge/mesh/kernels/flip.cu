// Edges that flip towards degree 6 (flip_edges on the CPU), in rounds: in each those whose key is the highest at all
// four vertices of their two faces. Those share no vertex, so they flip in place at the same time.

// True if a face of the flipped pair (a, d, c), (b, c, d) would not face the way the pair faces now.
DEVICE bool flip_turns_a_face(const float* data, int columns, int a, int b, int c, int d)
{
    const float* o = data + columns * (i64)a;
    const float* pb = data + columns * (i64)b;
    const float* pc = data + columns * (i64)c;
    const float* pd = data + columns * (i64)d;
    const float ex = pb[0] - o[0], ey = pb[1] - o[1], ez = pb[2] - o[2];
    float cx = pc[0] - o[0], cy = pc[1] - o[1], cz = pc[2] - o[2];
    float dx = pd[0] - o[0], dy = pd[1] - o[1], dz = pd[2] - o[2];
    const float nx = ey * cz - ez * cy + dy * ez - dz * ey;
    const float ny = ez * cx - ex * cz + dz * ex - dx * ez;
    const float nz = ex * cy - ey * cx + dx * ey - dy * ex;
    if (nx * (dy * cz - dz * cy) + ny * (dz * cx - dx * cz) + nz * (dx * cy - dy * cx) <= 0.0f) return true;
    cx -= ex, cy -= ey, cz -= ez, dx -= ex, dy -= ey, dz -= ez;
    return nx * (cy * dz - cz * dy) + ny * (cz * dx - cx * dz) + nz * (cx * dy - cy * dx) <= 0.0f;
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
    return gain;
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
