// Shared by all kernels: threads, triples of doubles, fixed-point sums.
//
// source.py joins this file with those of a room and NVRTC compiles them at run time. They are plain enough that a C++
// compiler takes them too, behind a shim of a few lines: that is how they are tested without a GPU. So no kernel has
// barriers or shared memory: threads meet at atomic integer operations only, whose order does not matter.
// Compile without FMA contraction, so that the results are the CPU's.

typedef unsigned long long u64;
typedef long long i64;

#define DEVICE __device__ __forceinline__
#define KERNEL extern "C" __global__ void
#define THREAD ((int)(blockIdx.x * blockDim.x + threadIdx.x))
#define IN(type) const type* __restrict__  // a kernel's inputs overlap nothing that it writes

#ifndef WARP  // the shim's warps have one thread
#define WARP 32
DEVICE i64 warp_sum(i64 value)  // all threads of the warp have to call it
{
    for (int lane = WARP / 2; lane > 0; lane /= 2) value += __shfl_xor_sync(0xffffffffu, value, lane);
    return value;
}
#endif

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

// Sums that many threads add to are integers: their order does not matter, so the same input gives the same bits on
// every run. unit: what an integer of 1 stands for is 1 / unit. The limit keeps a sum from overflowing.
#define LARGEST_TERM 268435456.0     // 2^28

DEVICE i64 to_fixed(double value, double unit)
{
    if (!(value == value)) return 0;
    if (value > LARGEST_TERM) value = LARGEST_TERM;
    if (value < -LARGEST_TERM) value = -LARGEST_TERM;
    return (i64)rint(value * unit);
}

DEVICE void add_fixed(i64* sum, i64 value)
{
    if (value != 0) atomicAdd((u64*)sum, (u64)value);  // two's complement: one addition
}
