// SIMD groups: barriers, reductions, shuffles, and 8x8 matrices.
#pragma once
#include "stdlib.h"
namespace metal {
enum class mem_flags { mem_none = 0, mem_device = 1, mem_threadgroup = 2, mem_texture = 4 };
inline mem_flags operator|(mem_flags a, mem_flags b) { return mem_flags(int(a) | int(b)); }
inline void threadgroup_barrier(mem_flags, int line = __builtin_LINE()) { soft::yield(soft::GROUP, line); }
inline void simdgroup_barrier(mem_flags, int line = __builtin_LINE()) { soft::yield(soft::SIMD, line); }
template <class T> T simd_sum(T v) { return soft::reduce(v, [](T a, T b) { return T(a + b); }); }
template <class T> T simd_product(T v) { return soft::reduce(v, [](T a, T b) { return T(a * b); }); }
template <class T> T simd_max(T v) { return soft::reduce(v, [](T a, T b) { return b > a ? b : a; }); }
template <class T> T simd_min(T v) { return soft::reduce(v, [](T a, T b) { return b < a ? b : a; }); }
template <class T> T simd_shuffle_down(T v, ushort d) { return soft::exchange(v, soft::F->index % 32 + d); }
template <class T> T simd_shuffle_up(T v, ushort d) { return soft::exchange(v, soft::F->index % 32 - d); }
template <class T> T simd_shuffle_xor(T v, ushort m) { return soft::exchange(v, (soft::F->index % 32) ^ m); }
template <class T> T simd_shuffle(T v, ushort l) { return soft::exchange(v, l); }
template <class T> T simd_broadcast(T v, ushort l) { return soft::exchange(v, l); }
// 8x8 matrices: two elements per lane, the layout mlx relies on
template <class T, int R, int K> struct simdgroup_matrix {
  T e[2];
  simdgroup_matrix() = default;
  simdgroup_matrix(T v) { e[0] = e[1] = v; }
  vec<T, 2>& thread_elements() { return *(vec<T, 2>*)e; }
  const vec<T, 2>& thread_elements() const { return *(const vec<T, 2>*)e; }
};
UNCHECKED inline void mat_pos(uint l, int& r, int& c) { uint q = l / 4; r = (q & 4) + (l / 2) % 4; c = (q & 2) * 2 + (l % 2) * 2; }
UNCHECKED inline uint mat_lane(uint r, uint c) { return (r & 4) << 2 | (c & 4) << 1 | (r & 3) << 1 | (c & 2) >> 1; }
template <class D, class A, class B, class C, int N> UNCHECKED void simdgroup_multiply_accumulate(simdgroup_matrix<D, N, N>& d, const simdgroup_matrix<A, N, N>& a, const simdgroup_matrix<B, N, N>& b, const simdgroup_matrix<C, N, N>& c) {
  struct Elements { float a[2], b[2]; };
  soft::show(Elements{{float(a.e[0]), float(a.e[1])}, {float(b.e[0]), float(b.e[1])}});
  int r, k; mat_pos(soft::F->index % 32, r, k);
  float s[2] = {float(c.e[0]), float(c.e[1])};
  for (int i = 0; i < 8; i++) {
    float x = soft::shown<Elements>(mat_lane(r, i)).a[i % 2];
    Elements y = soft::shown<Elements>(mat_lane(i, k));
    for (int j = 0; j < 2; j++) s[j] += x * y.b[j];
  }
  for (int j = 0; j < 2; j++) d.e[j] = D(s[j]);
}
template <class T> using simdgroup8 = simdgroup_matrix<T, 8, 8>;
using simdgroup_float8x8 = simdgroup8<float>;
using simdgroup_half8x8 = simdgroup8<half>;
using simdgroup_bfloat8x8 = simdgroup8<bfloat>;
template <class T, int N> simdgroup_matrix<T, N, N> make_filled_simdgroup_matrix(T v) { return simdgroup_matrix<T, N, N>(v); }
template <class T, int N> simdgroup_matrix<T, N, N> make_filled_simdgroup_matrix(half v) { return simdgroup_matrix<T, N, N>(T(v)); }
// Rows are `stride` elements apart; the origin is (column, row).
template <class T, class P, class S = ulong> void simdgroup_load(simdgroup8<T>& m, const P* p, S stride = 8, ulong2 origin = ulong2(0), bool transpose = false) {
  int r, c; mat_pos(soft::F->index % 32, r, c);
  for (int j = 0; j < 2; j++) {
    ulong row = transpose ? c + j : r, column = transpose ? r : c + j;
    m.e[j] = T(p[(origin.y + row) * stride + origin.x + column]);
  }
  soft::yield(soft::SIMD);
}
template <class T, class P, class S = ulong> void simdgroup_store(const simdgroup8<T>& m, P* p, S stride = 8, ulong2 origin = ulong2(0), bool transpose = false) {
  int r, c; mat_pos(soft::F->index % 32, r, c);
  for (int j = 0; j < 2; j++) {
    ulong row = transpose ? c + j : r, column = transpose ? r : c + j;
    p[(origin.y + row) * stride + origin.x + column] = P(m.e[j]);
  }
  soft::yield(soft::SIMD);
}
template <class D, class A, class B> void simdgroup_multiply(simdgroup8<D>& d, const simdgroup8<A>& a, const simdgroup8<B>& b) {
  simdgroup8<D> zero(D(0));
  simdgroup_multiply_accumulate(d, a, b, zero);
}
}
