// What starts at each vertex, positions for the rasteriser, running sums.
//
// counts[2] = vertices and faces of the mesh, known on the device only: the host launches a thread for as many as there
// may be. data [V, columns]: position, target edge length (column LENGTH), then what the optimiser carries.

// Signs of products of these decide whether a face is inverted: doubles (edits.py).
DEVICE Triple position(const float* data, int columns, int i)
{
    const float* row = data + columns * (i64)i;
    return {(double)row[0], (double)row[1], (double)row[2]};
}

DEVICE Triple plus(Triple a, Triple b) { return {a.x + b.x, a.y + b.y, a.z + b.z}; }

DEVICE Triple minus(Triple a, Triple b) { return {a.x - b.x, a.y - b.y, a.z - b.z}; }

// Into zeros: degree [V], outgoing [V] (the last half-edge that starts at a vertex, as on the CPU).
KERNEL find_rings(IN(int) start, IN(int) counts, int* degree, int* outgoing)
{
    const int h = THREAD;
    if (h >= 3 * counts[1]) return;
    atomicAdd(degree + start[h], 1);
    atomicMax(outgoing + start[h], h);
}

KERNEL copy_positions(IN(float) data, int columns, IN(int) counts, float* positions)
{
    const int i = THREAD;
    if (i >= counts[0]) return;
    for (int d = 0; d < 3; d++) positions[3 * (i64)i + d] = data[columns * (i64)i + d];
}

// Running sums in two steps, for values [count]: a thread adds up a chunk; then, with the sums before each chunk, it
// replaces its values by the sums before them. The host calls itself for the chunks' sums (device_mesh.py).
KERNEL sum_chunks(IN(int) values, int count, int* sums)
{
    const int c = THREAD;
    const int first = c * CHUNK, end = first + CHUNK < count ? first + CHUNK : count;
    if (first >= count) return;
    int sum = 0;
#pragma unroll 8  // several loads under way
    for (int i = first; i < end; i++) sum += values[i];
    sums[c] = sum;
}

KERNEL run_chunks(int* values, int count, IN(int) sums)
{
    const int c = THREAD;
    const int first = c * CHUNK, end = first + CHUNK < count ? first + CHUNK : count;
    if (first >= count) return;
    int sum = sums[c];
#pragma unroll 8
    for (int i = first; i < end; i++) {
        const int value = values[i];
        values[i] = sum;
        sum += value;
    }
}
