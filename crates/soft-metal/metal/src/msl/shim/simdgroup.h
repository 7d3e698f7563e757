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
inline void mat_pos(uint l, int& r, int& c) { uint q = l / 4; r = (q & 4) + (l / 2) % 4; c = (q & 2) * 2 + (l % 2) * 2; }
template <class T> void gather8(const T* e, float* m) {
  uint sg = soft::F->index / 32, l = soft::F->index % 32; float v[2] = {float(e[0]), float(e[1])};
  std::memcpy(soft::slot[sg][l], v, 8); soft::yield(soft::SIMD);
  for (uint i = 0; i < 32; i++) { int r, c; mat_pos(i, r, c); std::memcpy(m + r * 8 + c, soft::slot[sg][i], 8); }
  soft::yield(soft::SIMD);
}
template <class D, class A, class B, class C, int N> void simdgroup_multiply_accumulate(simdgroup_matrix<D, N, N>& d, const simdgroup_matrix<A, N, N>& a, const simdgroup_matrix<B, N, N>& b, const simdgroup_matrix<C, N, N>& c) {
  float x[64], y[64]; gather8(a.e, x); gather8(b.e, y);
  int r, k; mat_pos(soft::F->index % 32, r, k);
  for (int j = 0; j < 2; j++) { float s = float(c.e[j]); for (int i = 0; i < 8; i++) s += x[r * 8 + i] * y[i * 8 + k + j]; d.e[j] = D(s); }
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
