// Lets a C++ compiler take the CUDA kernels. Warps have one thread; blocks run one after another or on real threads.
#pragma once
#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <numeric>
#include <random>
#include <thread>
#include <utility>
#include <vector>

#define __device__
#define __global__
#define __forceinline__ inline
#define WARP 1
#define warp_sum(value) (value)

struct Dim {
    int x, y, z;
};
static thread_local Dim threadIdx, blockIdx, blockDim, gridDim;

static inline unsigned long long atomicAdd(unsigned long long* target, unsigned long long value)
{
    return __atomic_fetch_add(target, value, __ATOMIC_RELAXED);
}

static inline unsigned atomicAdd(unsigned* target, unsigned value)
{
    return __atomic_fetch_add(target, value, __ATOMIC_RELAXED);
}

static inline int atomicAdd(int* target, int value) { return __atomic_fetch_add(target, value, __ATOMIC_RELAXED); }

template <class T>
static inline T atomicMax(T* target, T value)
{
    T old = __atomic_load_n(target, __ATOMIC_RELAXED);
    while (old < value && !__atomic_compare_exchange_n(target, &old, value, true, __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
    }
    return old;
}

static inline unsigned __float_as_uint(float value)
{
    unsigned bits;
    std::memcpy(&bits, &value, 4);
    return bits;
}

static inline float __uint_as_float(unsigned bits)
{
    float value;
    std::memcpy(&value, &bits, 4);
    return value;
}

// Runs every thread of a grid: in order for seed 0, else blocks in random order and every second block backwards; from
// seed 100 on three real threads at once, which take the blocks in turn.
// sizes: of the arguments as the host passes them. Returns the first that does not fit the kernel's, or -1.
template <class... A, std::size_t... I>
static int run(void (*kernel)(A...), std::index_sequence<I...>, int blocks, int rows, int threads, unsigned seed,
               int count, void** arguments, const int* sizes)
{
    const int expected[] = {(int)sizeof(A)...};
    if (count != (int)sizeof...(A)) return 1000 + (int)sizeof...(A);
    for (int i = 0; i < count; i++)
        if (sizes[i] != expected[i]) return i;
    std::vector<int> order(blocks * rows);
    std::iota(order.begin(), order.end(), 0);
    if (seed) std::shuffle(order.begin(), order.end(), std::mt19937(seed));
    std::atomic<std::size_t> next(0);
    auto work = [&]() {
        gridDim = {blocks, rows, 1};
        blockDim = {threads, 1, 1};
        for (std::size_t turn = next++; turn < order.size(); turn = next++) {
            const int block = order[turn];
            blockIdx = {block % blocks, block / blocks, 0};
            for (int i = 0; i < threads; i++) {
                threadIdx = {seed && block % 2 ? threads - 1 - i : i, 0, 0};
                kernel(*static_cast<std::remove_reference_t<A>*>(arguments[I])...);
            }
        }
    };
    std::vector<std::thread> others;
    for (int i = 0; i < (seed >= 100 ? 2 : 0); i++) others.emplace_back(work);
    work();
    for (std::thread& other : others) other.join();
    return -1;
}

template <class... A>
static int start(void (*kernel)(A...), int blocks, int rows, int threads, unsigned seed, int count, void** arguments,
                 const int* sizes)
{
    return run(kernel, std::index_sequence_for<A...>(), blocks, rows, threads, seed, count, arguments, sizes);
}

#define LAUNCHER(name)                                                                                                 \
    extern "C" int launch_##name(int blocks, int rows, int threads, unsigned seed, int count, void** arguments,        \
                                 const int* sizes)                                                                     \
    {                                                                                                                  \
        return start(name, blocks, rows, threads, seed, count, arguments, sizes);                                      \
    }
