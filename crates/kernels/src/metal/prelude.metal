// What the kernels of all operations share.

#include <metal_stdlib>
using namespace metal;

// Threads that run in step, on every Apple GPU.
constant constexpr uint SIMD = 32;

// The rows of a tensor's last dimension: elements of a row are `stride` apart, the dimensions before
// it are walked innermost first.
struct Rows {
    ulong stride;
    ulong sizes[4];
    ulong strides[4];
};

// Where a row begins, in elements. Division is of 32 bits, which the host has made sure of: GPUs do that of 64 in software.
inline ulong row_start(constant Rows& rows, uint row) {
    ulong start = 0;
    for (uint i = 0; i < 4 && row > 0; i++) {
        uint size = uint(rows.sizes[i]);
        start += ulong(row % size) * rows.strides[i];
        row /= size;
    }
    return start;
}

// Before a loop that walks matrices in registers: rolled up, they would be in memory.
#define UNROLL _Pragma("clang loop unroll(full)")

// A value of every SIMD group, where all threads of a threadgroup see it.
inline void share(float value, threadgroup float* shared, uint thread_index) {
    // What was there before may still be read.
    threadgroup_barrier(mem_flags::mem_threadgroup);
    if (thread_index % SIMD == 0) {
        shared[thread_index / SIMD] = value;
    }
    threadgroup_barrier(mem_flags::mem_threadgroup);
}

// The sum over a threadgroup, in every thread. `shared` has an element for every SIMD group.
inline float group_sum(float value, threadgroup float* shared, uint thread_index, uint threads) {
    share(simd_sum(value), shared, thread_index);
    float total = 0;
    for (uint i = 0; i * SIMD < threads; i++) {
        total += shared[i];
    }
    return total;
}

// The largest value of a threadgroup, in every thread.
inline float group_max(float value, threadgroup float* shared, uint thread_index, uint threads) {
    share(simd_max(value), shared, thread_index);
    float largest = shared[0];
    for (uint i = 1; i * SIMD < threads; i++) {
        largest = max(largest, shared[i]);
    }
    return largest;
}
