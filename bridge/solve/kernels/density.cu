// The shortest edge length at every vertex (density.py). Macros: SEEN, UNSEEN_BEND, EXPONENT, LEAST_RANGE, MOST_RANGE,
// SUM_CELLS.

// bend [V]: mean of |n_i - n_j| / |x_i - x_j| over the neighbours; where nothing is seen it counts as flat.
KERNEL find_bend(IN(float) vertices, IN(int) faces, IN(int) twin, IN(int) outgoing, int vertex_count,
                 IN(float) normals, IN(float) data, int columns, float* bend)
{
    const int i = THREAD;
    if (i >= vertex_count) return;
    const Triple x = load(vertices, i), n = load(normals, i);
    double total = 0.0;
    int count = 0, h = outgoing[i];
    do {
        const int j = faces[next_half_edge(h)];
        const Triple turned = load_from(normals, j, n), edge = load_from(vertices, j, x);
        total += sqrt(dot(turned, turned) / (dot(edge, edge) + 1e-12));
        count++;
        h = around(twin, h);
    } while (h != outgoing[i]);
    bend[i] = (float)(total / count * fmax((double)data[columns * (i64)i + SEEN], UNSEEN_BEND));
}

// result [V]: half way from the values [V] to their neighbours' mean.
KERNEL towards_neighbours(IN(float) values, IN(int) faces, IN(int) twin, IN(int) outgoing, int vertex_count,
                          float* result)
{
    const int i = THREAD;
    if (i >= vertex_count) return;
    double total = 0.0;
    int count = 0, h = outgoing[i];
    do {
        total += values[faces[next_half_edge(h)]];
        count++;
        h = around(twin, h);
    } while (h != outgoing[i]);
    result[i] = (float)(0.5 * (values[i] + total / count));
}

// Sums over the vertices, in SUM_CELLS places so that fewer threads meet at each. Lengths are head radii: areas and
// area * bend are far below the limit of a term, and above the unit even for a million vertices.
#define SUM_UNIT 17179869184.0  // 2^34

DEVICE void add_to(i64* cells, double value)  // all threads of a warp have to call it
{
    const i64 sum = warp_sum(to_fixed(value, SUM_UNIT));
    if (threadIdx.x % WARP == 0) add_fixed(cells + blockIdx.x % SUM_CELLS, sum);
}

DEVICE double sum_of(const i64* cells)
{
    i64 sum = 0;
    for (int c = 0; c < SUM_CELLS; c++) sum += cells[c];
    return sum / SUM_UNIT;
}

DEVICE double area_of(const float* lengths, int i) { return lengths[i] / 6.0; }  // a third of the faces around i

// relative [V]: edge lengths by the bend alone. sums: area, then area / relative^2; zeros before.
KERNEL relative_edges(IN(float) bend, IN(float) lengths, int vertex_count, float* relative, i64* sums)
{
    const int i = THREAD;
    double area = 0.0, share = 0.0;
    if (i < vertex_count) {
        relative[i] = (float)pow(fmax((double)bend[i], 1e-6), EXPONENT);
        area = area_of(lengths, i);
        share = area / ((double)relative[i] * relative[i]);
    }
    add_to(sums, area);
    add_to(sums + SUM_CELLS, share);
}

// Scales relative to a mean of 1, weighted by where vertices will be, and limits its range. used: area / relative^2.
KERNEL limit_edges(IN(float) lengths, int vertex_count, IN(i64) sums, float* relative, i64* used)
{
    const int i = THREAD;
    double share = 0.0;
    if (i < vertex_count) {
        const double mean = sqrt(sum_of(sums) / sum_of(sums + SUM_CELLS));
        relative[i] = (float)fmin(fmax(relative[i] / mean, LEAST_RANGE), MOST_RANGE);
        share = area_of(lengths, i) / ((double)relative[i] * relative[i]);
    }
    add_to(used, share);
}

// vertices = sum of area_i / (sqrt(3) / 2 * edge_i^2), within shortest .. longest.
KERNEL scale_edges(IN(float) relative, int vertex_count, IN(i64) used, double vertex_budget, float shortest,
                   float longest, float* edges)
{
    const int i = THREAD;
    if (i >= vertex_count) return;
    const double scale = sqrt(sum_of(used) / (vertex_budget * sqrt(3.0) / 2.0));
    edges[i] = fminf(fmaxf((float)(scale * relative[i]), shortest), longest);
}
