// Mean of the values [3V] of a vertex's neighbours.
DEVICE Triple neighbours_mean(const float* values, const int* faces, const int* twin, const int* outgoing, int i)
{
    Triple sum = {0.0, 0.0, 0.0};
    int count = 0, h = outgoing[i];
    do {
        const Triple neighbour = load(values, faces[next_half_edge(h)]);
        sum.x += neighbour.x;
        sum.y += neighbour.y;
        sum.z += neighbour.z;
        count++;
        h = around(twin, h);
    } while (h != outgoing[i]);
    return {sum.x / count, sum.y / count, sum.z / count};
}

// Values [3V] less their neighbours' mean, the second time less that share of it which was seen (mesh/laplacian.py).
KERNEL from_neighbours(IN(float) values, IN(float) data, int columns, int second, IN(int) faces, IN(int) twin,
                       IN(int) outgoing, int vertex_count, float* result)
{
    const int i = THREAD;
    if (i >= vertex_count) return;
    const Triple own = load(values, i), mean = neighbours_mean(values, faces, twin, outgoing, i);
    const double share = second ? (double)data[columns * (i64)i + SEEN] : 1.0;
    float* out = result + 3 * (i64)i;
    out[0] = (float)(own.x - mean.x * share);
    out[1] = (float)(own.y - mean.y * share);
    out[2] = (float)(own.z - mean.z * share);
}

// result [3V] at i: the values [3V] half way to their neighbours' mean.
DEVICE void half_way(const float* values, const int* faces, const int* twin, const int* outgoing, int i, float* result)
{
    const Triple own = load(values, i), mean = neighbours_mean(values, faces, twin, outgoing, i);
    float* out = result + 3 * (i64)i;
    out[0] = (float)(0.5 * (own.x + mean.x));
    out[1] = (float)(0.5 * (own.y + mean.y));
    out[2] = (float)(0.5 * (own.z + mean.z));
}

// All values [3V] half way (mesh/laplacian.py, diffused).
KERNEL diffuse(IN(float) values, IN(int) faces, IN(int) twin, IN(int) outgoing, int vertex_count, float* result)
{
    const int i = THREAD;
    if (i < vertex_count) half_way(values, faces, twin, outgoing, i, result);
}

// |E[g]| / sqrt(E[|g|^2]): 1 if the gradient is always the same.
DEVICE double speed_of(const float* row)
{
    const double x = row[FIRST], y = row[FIRST + 1], z = row[FIRST + 2];
    return sqrt(x * x + y * y + z * z) / (sqrt((double)row[SECOND]) + 1e-8);
}

// One update of the optimiser in place (optimise.py), along the force and relief times the gradient and against the bend.
// Macros: the columns LENGTH, SECOND, FIRST, SEEN; BETA, SPEED_REFERENCE, GAIN, MOST_BEND, GRADIENT_LIMIT.
// keep, take and rate are those of this step, the same for all vertices.
KERNEL move_vertices(float* data, int columns, int vertex_count, IN(float) gradient, IN(float) force, double relief,
                     IN(float) bend, int order, double keep, double take, double rate, double weight, double least,
                     IN(float) shortest, double longest)
{
    const int i = THREAD;
    if (i >= vertex_count) return;
    const float* given = gradient + 3 * (i64)i;
    float* row = data + columns * (i64)i;
    const bool seen = given[0] != 0.0f || given[1] != 0.0f || given[2] != 0.0f;
    row[SEEN] = (float)(BETA * row[SEEN] + (1.0 - BETA) * (seen ? 1.0 : 0.0));
    const double inside = order == 1 ? weight * speed_of(row) : 0.0;
    double squared = 0.0;
    for (int d = 0; d < 3; d++) {
        double g = force[3 * (i64)i + d] + relief * given[d] + inside * bend[3 * (i64)i + d];
        const float m = row[FIRST + d];
        const double limit = fabsf(m) * GRADIENT_LIMIT;
        if (m != 0.0f) g = fmin(fmax(g, -limit), limit);
        row[FIRST + d] = (float)(m * keep + g * take);
        squared += g * g;
    }
    row[SECOND] = (float)(row[SECOND] * keep + squared * take);
    const double speed = speed_of(row), step = rate * row[LENGTH] / (sqrt((double)row[SECOND]) + 1e-8);
    const double outside = order == 2 ? fmin(fmax(weight * speed * step, least * rate), MOST_BEND) : 0.0;
    for (int d = 0; d < 3; d++)
        row[d] = (float)(row[d] - step * row[FIRST + d] - outside * bend[3 * (i64)i + d]);
    const double length = row[LENGTH] * (1.0 + (speed - SPEED_REFERENCE) * GAIN);
    row[LENGTH] = (float)fmin(fmax(length, (double)shortest[i]), longest);
}
