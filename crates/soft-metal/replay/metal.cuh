// What our kernels use of the Metal Shading Language, in CUDA C++ for NVRTC (-std=c++20 -default-device): 32 lanes are 32 lanes.
#pragma once
#include <cuda_bf16.h>
#include <cuda_fp16.h>
using uint = unsigned int;
using ushort = unsigned short;
using uchar = unsigned char;
using ulong = unsigned long;
using uint16_t = unsigned short;
using uint32_t = unsigned int;
using uint64_t = unsigned long;
using bfloat = __nv_bfloat16;
#define INFINITY __int_as_float(0x7f800000)
#define NAN __int_as_float(0x7fc00000)

// `max`, `min` and functions of floats are CUDA's own.
namespace metal {
template <class T, int N> struct vec_base;
template <class T> struct vec_base<T, 2> { T x, y; };
template <class T> struct vec_base<T, 3> { T x, y, z; };
template <class T> struct vec_base<T, 4> { T x, y, z, w; };
template <class T, int N> struct alignas(sizeof(T) * (N == 3 ? 4 : N)) vec : vec_base<T, N> {
    vec() = default;
    template <class S> vec(S s) { for (int i = 0; i < N; i++) (*this)[i] = T(s); }
    template <class U> explicit vec(const vec<U, N>& o) { for (int i = 0; i < N; i++) (*this)[i] = T(o[i]); }
    vec(T a, T b) requires(N == 2) : vec_base<T, N>{a, b} {}
    vec(T a, T b, T c) requires(N == 3) : vec_base<T, N>{a, b, c} {}
    vec(T a, T b, T c, T d) requires(N == 4) : vec_base<T, N>{a, b, c, d} {}
    T& operator[](uint i) { return (&this->x)[i]; }
    const T& operator[](uint i) const { return (&this->x)[i]; }
#define OP(o) \
    friend vec operator o(const vec& a, const vec& b) { vec r; for (int i = 0; i < N; i++) r[i] = a[i] o b[i]; return r; } \
    vec& operator o##=(const vec& b) { return *this = *this o b; }
    OP(+) OP(-) OP(*) OP(/)
#undef OP
};
namespace precise { inline float sqrt(float x) { return __fsqrt_rn(x); } inline float exp(float x) { return ::exp(x); } }
template <class T, class U> T as_type(U value) { static_assert(sizeof(T) == sizeof(U)); return __builtin_bit_cast(T, value); }

enum class mem_flags { mem_none, mem_device, mem_threadgroup };
inline void threadgroup_barrier(mem_flags) { __syncthreads(); }
inline void simdgroup_barrier(mem_flags) { __syncwarp(); }
template <class T> T simd_shuffle_xor(T x, ushort by) { return __shfl_xor_sync(~0u, x, by); }
template <class T> T simd_shuffle_down(T x, ushort by) { return __shfl_down_sync(~0u, x, by); }
template <class T> T simd_shuffle_up(T x, ushort by) { return __shfl_up_sync(~0u, x, by); }
template <class T> T simd_shuffle(T x, ushort lane) { return __shfl_sync(~0u, x, lane); }
template <class T> T simd_broadcast(T x, ushort lane) { return __shfl_sync(~0u, x, lane); }
template <class T> T simd_sum(T x) { for (int i = 16; i; i /= 2) x += simd_shuffle_xor(x, i); return x; }
template <class T> T simd_max(T x) { for (int i = 16; i; i /= 2) { T y = simd_shuffle_xor(x, i); x = y > x ? y : x; } return x; }
template <class T> T simd_min(T x) { for (int i = 16; i; i /= 2) { T y = simd_shuffle_xor(x, i); x = y < x ? y : x; } return x; }

// Two elements of a row for every lane. Which ones is the GPU's affair in MSL, so any order will do.
template <class T, int C = 8, int R = C> struct simdgroup_matrix { T v[2]; };
using simdgroup_float8x8 = simdgroup_matrix<float>;
using simdgroup_half8x8 = simdgroup_matrix<__half>;
using simdgroup_bfloat8x8 = simdgroup_matrix<bfloat>;
inline uint lane_id() { return threadIdx.x % 32; }
template <class T, int N, int M = N, class V> simdgroup_matrix<T, N> make_filled_simdgroup_matrix(V x) { return {{T(x), T(x)}}; }
template <class T, class P>
void simdgroup_load(simdgroup_matrix<T>& m, const P* from, ulong step = 8, vec<ulong, 2> at = vec<ulong, 2>(0), bool transposed = false) {
    uint row = lane_id() / 4, column = lane_id() % 4 * 2;
    from += at.y * step + at.x;
    for (uint i = 0; i < 2; i++) m.v[i] = T(transposed ? from[(column + i) * step + row] : from[row * step + column + i]);
}
template <class T, class P>
void simdgroup_store(simdgroup_matrix<T> m, P* to, ulong step = 8, vec<ulong, 2> at = vec<ulong, 2>(0), bool transposed = false) {
    uint row = lane_id() / 4, column = lane_id() % 4 * 2;
    to += at.y * step + at.x;
    for (uint i = 0; i < 2; i++) (transposed ? to[(column + i) * step + row] : to[row * step + column + i]) = P(m.v[i]);
}
template <class D, class A, class B, class C>
void simdgroup_multiply_accumulate(simdgroup_matrix<D>& d, simdgroup_matrix<A> a, simdgroup_matrix<B> b, simdgroup_matrix<C> c) {
    uint row = lane_id() / 4, pair = lane_id() % 4;
    float sums[2] = {float(c.v[0]), float(c.v[1])};
    for (uint k = 0; k < 8; k++) {
        float left = __shfl_sync(~0u, float(a.v[k % 2]), row * 4 + k / 2);
        for (uint i = 0; i < 2; i++) sums[i] = fmaf(left, __shfl_sync(~0u, float(b.v[i]), k * 4 + pair), sums[i]);
    }
    for (uint i = 0; i < 2; i++) d.v[i] = D(sums[i]);
}
} // namespace metal

#define VECTORS(t) using m_##t##2 = metal::vec<t, 2>; using m_##t##3 = metal::vec<t, 3>; using m_##t##4 = metal::vec<t, 4>;
using half = __half;
VECTORS(float) VECTORS(half) VECTORS(bfloat) VECTORS(uint) VECTORS(int) VECTORS(ushort) VECTORS(uchar) VECTORS(ulong)
#undef VECTORS
// CUDA's own vectors have these names, and neither operators nor elements by number.
#define float2 m_float2
#define float4 m_float4
#define uint2 m_uint2
#define uint3 m_uint3
#define uint4 m_uint4
#define ulong2 m_ulong2
#define ushort4 m_ushort4
#define half4 m_half4
#define bfloat4 m_bfloat4

namespace soft {
template <class T> T pr(T x) { return x; }
// What a launch binds, the grid that it asks for, and its constants one behind the other: a GPU has those at hand.
struct Arguments { void* buffers[32]; uint threads[3]; uint padding; alignas(16) uchar constants[3072]; };
enum Kind { BUF, TG, TPIG, TGPIG, TPITG, TPTG, DTPTG, TGPG, TPG, TIITG, TIISG, SGIITG, SGPTG, TPSG };
struct Par { Kind kind; int index; };
inline uint of(Kind kind, const Arguments& a, int i) {
    uint block[] = {blockIdx.x, blockIdx.y, blockIdx.z}, thread[] = {threadIdx.x, threadIdx.y, threadIdx.z};
    uint blocks[] = {gridDim.x, gridDim.y, gridDim.z}, size[] = {blockDim.x, blockDim.y, blockDim.z};
    uint number = threadIdx.x + size[0] * (threadIdx.y + size[1] * threadIdx.z), all = size[0] * size[1] * size[2];
    switch (kind) {
        case TPIG: return block[i] * size[i] + thread[i];
        case TGPIG: return block[i];
        case TPITG: return thread[i];
        case TPTG: case DTPTG: return size[i];
        case TGPG: return blocks[i];
        case TPG: return a.threads[i];
        case TIITG: return number;
        case TIISG: return number % 32;
        case SGIITG: return number / 32;
        case SGPTG: return (all + 31) / 32;
        default: return 32;
    }
}
// The bytes that an argument takes of the constants.
template <class A> struct Room { static constexpr int bytes = 0; };
template <class T> struct Room<T&> { static constexpr int bytes = (sizeof(T) + 15) / 16 * 16; };
template <class A> struct Argument { static A from(const Arguments& a, Par p, int) { return A(of(p.kind, a, 0)); } };
template <class T, int N> struct Argument<metal::vec<T, N>> {
    static metal::vec<T, N> from(const Arguments& a, Par p, int) {
        metal::vec<T, N> v;
        for (int i = 0; i < N; i++) v[i] = of(p.kind, a, i);
        return v;
    }
};
template <class T> struct Argument<T*> { static T* from(const Arguments& a, Par p, int) { return (T*)a.buffers[p.index]; } };
template <class T> struct Argument<T&> { static T& from(const Arguments& a, Par, int at) { return *(T*)(a.constants + at); } };
template <int... I> struct Numbers {};
template <int N, int... I> struct UpTo : UpTo<N - 1, N - 1, I...> {};
template <int... I> struct UpTo<0, I...> { using numbers = Numbers<I...>; };
template <class... A> constexpr int before(int i) {
    int sizes[] = {Room<A>::bytes...}, sum = 0;
    for (int j = 0; j < i; j++) sum += sizes[j];
    return sum;
}
template <class... A, int... I> void call(void (*f)(A...), const Arguments& a, const Par* p, Numbers<I...>) {
    static_assert(before<A...>(sizeof...(A)) <= sizeof(a.constants));
    f(Argument<A>::from(a, p[I], before<A...>(I))...);
}
// Threads past the grid's edge, which Metal does not start, return.
template <class... A> void call(void (*f)(A...), const Arguments& a, const Par* p) {
    for (int i = 0; i < 3; i++) if (of(TPIG, a, i) >= a.threads[i]) return;
    call(f, a, p, typename UpTo<sizeof...(A)>::numbers());
}
} // namespace soft
