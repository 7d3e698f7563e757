// What the kernels of all operations share.

#include <metal_stdlib>
using namespace metal;

// Threads that run in step, on every Apple GPU.
constant constexpr uint SIMD = 32;

// exp(a - b), of the power that GPUs have. What is large loses digits to a factor, its difference none.
inline float exp_of_difference(float a, float b) {
    constexpr float LOG2E = 1.44269504f;
    return exp2((a - b) * LOG2E);
}

// The rows of a tensor's last dimension: elements of a row are `stride` apart, the dimensions before
// it are walked innermost first. `row / sizes[i]` is `row * factors[i] >> shifts[i]`, since GPUs divide in software.
struct Rows {
    ulong stride;
    ulong strides[4];
    uint sizes[4];
    uint factors[4];
    uint shifts[4];
};

// Where a row begins, in elements.
inline ulong row_start(constant Rows& rows, uint row) {
    ulong start = 0;
    for (uint i = 0; i < 4 && row > 0; i++) {
        uint outer = uint(ulong(row) * rows.factors[i] >> rows.shifts[i]);
        start += ulong(row - outer * rows.sizes[i]) * rows.strides[i];
        row = outer;
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

// The value of the SIMD group that the thread's lane stands for, or `other` where there are fewer.
inline float shared_value(threadgroup const float* shared, uint thread_index, uint threads, float other) {
    uint lane = thread_index % SIMD;
    return lane * SIMD < threads ? shared[lane] : other;
}

// The sum over a threadgroup, in every thread. `shared` has an element for every SIMD group.
inline float group_sum(float value, threadgroup float* shared, uint thread_index, uint threads) {
    share(simd_sum(value), shared, thread_index);
    return simd_sum(shared_value(shared, thread_index, threads, 0));
}

// The largest value of a threadgroup, in every thread.
inline float group_max(float value, threadgroup float* shared, uint thread_index, uint threads) {
    share(simd_max(value), shared, thread_index);
    return simd_max(shared_value(shared, thread_index, threads, -INFINITY));
}
