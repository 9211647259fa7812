// Neighbours in space next to each other in memory (morton_order on the CPU): keys, a radix sort, and the new order.

DEVICE unsigned ordered_bits(float x)  // float order as integer order
{
    const unsigned bits = __float_as_uint(x);
    return bits & 0x80000000u ? ~bits : bits | 0x80000000u;
}

DEVICE float from_ordered_bits(unsigned bits)
{
    return __uint_as_float(bits & 0x80000000u ? bits & 0x7fffffffu : ~bits);
}

// box [6], zeros before: ordered bits of the largest x, y, z, -x, -y, -z.
KERNEL find_box(IN(float) data, int columns, int vertex_count, unsigned* box)
{
    const int i = THREAD;
    if (i >= vertex_count) return;
    for (int d = 0; d < 6; d++) {
        const float x = data[columns * (i64)i + d % 3];
        const unsigned bits = ordered_bits(d < 3 ? x : -x);
        if (bits > box[d]) atomicMax(box + d, bits);  // only grows, so an old value read here does no harm
    }
}

DEVICE unsigned spread_bits(unsigned x)  // makes room for two other coordinates between 10 bits
{
    x = (x | x << 16) & 0x030000ffu;
    x = (x | x << 8) & 0x0300f00fu;
    x = (x | x << 4) & 0x030c30c3u;
    return (x | x << 2) & 0x09249249u;
}

KERNEL morton_keys(IN(float) data, int columns, int vertex_count, IN(unsigned) box, unsigned* keys, int* order)
{
    const int i = THREAD;
    if (i >= vertex_count) return;
    float low[3], extent = 1e-30f;
    for (int d = 0; d < 3; d++) {
        low[d] = -from_ordered_bits(box[3 + d]);
        extent = fmaxf(extent, from_ordered_bits(box[d]) - low[d]);
    }
    unsigned key = 0;
    for (int d = 0; d < 3; d++)
        key |= spread_bits((unsigned)((data[columns * (i64)i + d] - low[d]) * (1023.0 / extent))) << d;
    keys[i] = key;
    order[i] = i;
}

// A face comes with the first of its vertices; new_vertex [V]: its place in the new order.
KERNEL face_keys(IN(int) start, IN(int) new_vertex, int face_count, unsigned* keys, int* order)
{
    const int f = THREAD;
    if (f >= face_count) return;
    const int a = new_vertex[start[3 * f]], b = new_vertex[start[3 * f + 1]], c = new_vertex[start[3 * f + 2]];
    const int least = a < b ? a : b;
    keys[f] = (unsigned)(least < c ? least : c);
    order[f] = f;
}

// One pass of a stable radix sort. A thread counts the digits in its chunk: digits [2^DIGIT_BITS, chunks], zeros before;
// with their running sums it puts its elements into their places.
KERNEL count_digits(IN(unsigned) keys, int count, int shift, int chunks, int* digits)
{
    const int c = THREAD;
    if (c >= chunks) return;
    for (int i = c * CHUNK; i < count && i < (c + 1) * CHUNK; i++)
        digits[(keys[i] >> shift & ((1u << DIGIT_BITS) - 1u)) * chunks + c]++;
}

KERNEL place_digits(IN(unsigned) keys, IN(int) order, int count, int shift, int chunks, int* digits,
                    unsigned* new_keys, int* new_order)
{
    const int c = THREAD;
    if (c >= chunks) return;
    for (int i = c * CHUNK; i < count && i < (c + 1) * CHUNK; i++) {
        const int place = digits[(keys[i] >> shift & ((1u << DIGIT_BITS) - 1u)) * chunks + c]++;
        new_keys[place] = keys[i];
        new_order[place] = order[i];
    }
}

KERNEL invert_order(IN(int) order, int count, int* place)
{
    const int i = THREAD;
    if (i < count) place[order[i]] = i;
}

KERNEL reorder_vertices(IN(float) data, int columns, IN(int) order, int vertex_count, float* new_data)
{
    const int i = THREAD;
    if (i >= vertex_count) return;
    for (int k = 0; k < columns; k++) new_data[columns * (i64)i + k] = data[columns * (i64)order[i] + k];
}

KERNEL reorder_faces(IN(int) start, IN(int) twin, IN(int) order, IN(int) new_vertex, IN(int) new_face, int face_count,
                     int* new_start, int* new_twin)
{
    const int f = THREAD;
    if (f >= face_count) return;
    for (int e = 0; e < 3; e++) {
        const int h = 3 * order[f] + e, g = twin[h];
        new_start[3 * f + e] = new_vertex[start[h]];
        new_twin[3 * f + e] = 3 * new_face[g / 3] + g % 3;
    }
}
