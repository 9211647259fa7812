// Shared by all kernels: the camera record, projection, fixed-point sums.
//
// The files of this folder are joined in the order of cuda_source.py and compiled at run time by NVRTC. They are plain
// enough that a C++ compiler takes them too, behind a shim of a few lines: that is how they are tested without a GPU.
// Compile without FMA contraction: the two sides of an edge must get exactly opposite float32 values (visibility.cu).
// Given as macros, so that every backend has the same numbers: NEAR, TINY, STEEP, BEND, MAX_WALK, LOSS_CELLS.

typedef unsigned long long u64;
typedef long long i64;

#define DEVICE __device__ __forceinline__
#define KERNEL extern "C" __global__ void
#define IN(type) const type* __restrict__  // a kernel's inputs overlap nothing that it writes

#ifndef WARP  // the shim's warps have one thread
#define WARP 32
DEVICE i64 warp_sum(i64 value)  // all threads of the warp have to call it
{
    for (int lane = WARP / 2; lane > 0; lane /= 2) value += __shfl_xor_sync(0xffffffffu, value, lane);
    return value;
}
#endif

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

struct Triple {
    double x, y, z;
};

DEVICE Triple cross(Triple a, Triple b)
{
    return {a.y * b.z - a.z * b.y, a.z * b.x - a.x * b.z, a.x * b.y - a.y * b.x};
}

DEVICE double dot(Triple a, Triple b) { return a.x * b.x + a.y * b.y + a.z * b.z; }

DEVICE Triple load(const float* array, int i)
{
    return {(double)array[3 * (i64)i], (double)array[3 * (i64)i + 1], (double)array[3 * (i64)i + 2]};
}

DEVICE Triple load_from(const float* vertices, int i, Triple origin)
{
    Triple v = load(vertices, i);
    return {v.x - origin.x, v.y - origin.y, v.z - origin.z};
}

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

// Sums over pixels are integers: their order does not matter, so the same input gives the same bits on every run.
// Gradients arrive in units of weight per pixel of motion (see cuda.py), of which 2^-30 is below float32's precision.
// The limit keeps a degenerate triangle from overflowing a sum.
#define GRADIENT_UNIT 1073741824.0   // 2^30
#define GRADIENT_LIMIT 268435456.0   // 2^28, in weights
#define LOSS_UNIT 4294967296.0       // 2^32

DEVICE i64 to_fixed(double value, double unit)
{
    if (!(value == value)) return 0;
    if (value > GRADIENT_LIMIT) value = GRADIENT_LIMIT;
    if (value < -GRADIENT_LIMIT) value = -GRADIENT_LIMIT;
    return (i64)rint(value * unit);
}

DEVICE void add(i64* sum, double value)
{
    if (value != 0.0) atomicAdd((u64*)sum, (u64)to_fixed(value, GRADIENT_UNIT));  // two's complement: one addition
}

DEVICE void add(i64* sum, Triple value)
{
    add(sum, value.x);
    add(sum + 1, value.y);
    add(sum + 2, value.z);
}
