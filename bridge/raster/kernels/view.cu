// Shared by the rasteriser's kernels: the camera record, projection, keys of visibility, the sums' units.
//
// Without FMA contraction the two sides of an edge get exactly opposite float32 values (visibility.cu).
// Given as macros, so that every backend has the same numbers: NEAR, TINY, STEEP, BEND, MAX_WALK, LOSS_CELLS.

// One camera; laid out like VIEW in cuda_source.py. Visibility is float32 as on the CPU, so both precisions are here:
// conversions run at the double rate, which is low on most cards.
struct View {
    double R[9], t[3], center[3], K[5];  // K: fx, fy, cx, cy, skew
    float r[9], s[3], k[5];              // R, t, K once more
    int height, width, unused;
    i64 offset;                          // of its first pixel in any flat image
};
static_assert(sizeof(View) == 248, "View and the host's record differ");

struct Point {
    float x, y, z;  // pixel x, pixel y, 1 / depth; all 0 for a vertex that is not in front of the camera
};

DEVICE Point project(const View& view, const float* vertices, int i)
{
    const float* r = view.r;
    const float x = vertices[3 * (i64)i], y = vertices[3 * (i64)i + 1], z = vertices[3 * (i64)i + 2];
    const float X = r[0] * x + r[1] * y + r[2] * z + view.s[0];
    const float Y = r[3] * x + r[4] * y + r[5] * z + view.s[1];
    const float Z = r[6] * x + r[7] * y + r[8] * z + view.s[2];
    if (!((float)NEAR < Z)) return {0.0f, 0.0f, 0.0f};
    const float inverse = 1.0f / Z;
    return {(view.k[0] * X + view.k[4] * Y) * inverse + view.k[2], view.k[1] * Y * inverse + view.k[3], inverse};
}

DEVICE float doubled_area(Point a, Point b, Point c)  // > 0: seen from the front (y points down in the image)
{
    return (c.x - a.x) * (b.y - a.y) - (c.y - a.y) * (b.x - a.x);
}

// A pixel's key: 1 / depth above, the triangle below, counted down so that equal depths go to the first triangle, as
// on the CPU. 0 = background.
DEVICE u64 make_key(float z, int face)
{
    return (u64)__float_as_uint(z) << 32 | (0xffffffffu - (unsigned)face);
}

DEVICE int key_face(u64 key) { return key ? (int)(0xffffffffu - (unsigned)key) : -1; }

DEVICE float key_z(u64 key) { return __uint_as_float((unsigned)(key >> 32)); }

// Gradients arrive in units of weight per pixel of motion (see cuda.py), of which 2^-30 is below float32's precision.
#define GRADIENT_UNIT 1073741824.0   // 2^30
#define LOSS_UNIT 4294967296.0       // 2^32

DEVICE void add(i64* sum, double value)
{
    if (value != 0.0) add_fixed(sum, to_fixed(value, GRADIENT_UNIT));
}

DEVICE void add(i64* sum, Triple value)
{
    add(sum, value.x);
    add(sum + 1, value.y);
    add(sum + 2, value.z);
}
