// Types of MSL: scalars, bfloat, vectors, and function constants.
#pragma once
#include <algorithm>
#include <cfloat>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <dlfcn.h>
#include <string>
#include <limits>
#include <new>
#include <type_traits>
#include <utility>
#include <vector>
// What the launcher and SIMD groups do with their own memory is not checked (check.h).
#define UNCHECKED __attribute__((no_sanitize("kernel-address")))
using uint = uint32_t; using ushort = uint16_t; using uchar = uint8_t; using ulong = uint64_t;
using half = _Float16;
struct bfloat {
  uint16_t bits;
  bfloat() = default;
  template <class T, class = std::enable_if_t<std::is_arithmetic_v<T> || std::is_same_v<T, half>>> constexpr bfloat(T v) : bits(from(float(v))) {}
  static constexpr uint16_t from(float f) { uint32_t u = __builtin_bit_cast(uint32_t, f); if ((u & 0x7fffffff) > 0x7f800000) return (u >> 16) | 64; return (u + 0x7fff + ((u >> 16) & 1)) >> 16; }
  constexpr operator float() const { return __builtin_bit_cast(float, uint32_t(bits) << 16); } 
  template <class T, class = std::enable_if_t<(std::is_arithmetic_v<T> || std::is_same_v<T, half>) && !std::is_same_v<T, float>>> constexpr operator T() const { return T(float(*this)); }
  constexpr bfloat operator-() const { return bfloat(-float(*this)); }
};
template <class T> constexpr bool soft_num = std::is_arithmetic_v<T> || std::is_same_v<T, half>;
#define OP(o) \
  constexpr bfloat operator o(bfloat a, bfloat b) { return bfloat(float(a) o float(b)); } \
  template <class T> constexpr std::enable_if_t<soft_num<T>, float> operator o(bfloat a, T b) { return float(a) o float(b); } \
  template <class T> constexpr std::enable_if_t<soft_num<T>, float> operator o(T a, bfloat b) { return float(a) o float(b); } \
  template <class T> constexpr bfloat& operator o##=(bfloat& a, T b) { return a = bfloat(float(a) o float(b)); } \
  template <class T> constexpr std::enable_if_t<soft_num<T>, T&> operator o##=(T& a, bfloat b) { return a = T(a o float(b)); }
OP(+) OP(-) OP(*) OP(/)
#undef OP
#define OP(o) \
  constexpr bool operator o(bfloat a, bfloat b) { return float(a) o float(b); } \
  template <class T> constexpr std::enable_if_t<soft_num<T>, bool> operator o(bfloat a, T b) { return float(a) o float(b); } \
  template <class T> constexpr std::enable_if_t<soft_num<T>, bool> operator o(T a, bfloat b) { return float(a) o float(b); }
OP(<) OP(>) OP(<=) OP(>=) OP(==) OP(!=)
#undef OP
// Function constants: 8 bytes each in the file "<this shared object>.fc", read while the object loads.
static const unsigned char* soft_constants() {
  static unsigned char buf[512 * 8];
  static bool once = [] { Dl_info i; if (dladdr((void*)soft_constants, &i)) if (FILE* f = fopen((std::string(i.dli_fname) + ".fc").c_str(), "rb")) { size_t n = fread(buf, 1, sizeof buf, f); (void)n; fclose(f); } return true; }();
  (void)once; return buf;
}
template <class T> static T soft_fc(int i) { T v; std::memcpy(&v, soft_constants() + i * 8, sizeof v); return v; }
template <class T, int N> struct vec_base { T x, y; };
template <class T> struct vec_base<T, 3> { T x, y, z; };
template <class T> struct vec_base<T, 4> { T x, y, z, w; };
namespace metal {
template <class T, int N> struct alignas(sizeof(T) * (N == 3 ? 4 : N)) vec : vec_base<T, N> {
  vec() = default;
  template <class S, class = std::enable_if_t<std::is_convertible_v<S, T>>> vec(S s) { for (int i = 0; i < N; i++) (*this)[i] = T(s); }
  template <class... S, class = std::enable_if_t<sizeof...(S) == N && (N > 1)>> constexpr vec(S... s) : vec_base<T, N>{T(s)...} {} template <class Q, class... S, class = std::enable_if_t<false, Q>> vec(Q, S... s) { T t[] = {T(s)...}; for (int i = 0; i < N; i++) (*this)[i] = t[i]; }
  template <class U> explicit vec(const vec<U, N>& o) { for (int i = 0; i < N; i++) (*this)[i] = T(o[i]); }
  T& operator[](int i) { return (&this->x)[i]; }
  const T& operator[](int i) const { return (&this->x)[i]; }
#define OP(o) \
  friend vec operator o(const vec& a, const vec& b) { vec r; for (int i = 0; i < N; i++) r[i] = T(a[i] o b[i]); return r; } \
  vec& operator o##=(const vec& b) { return *this = *this o b; }
  OP(+) OP(-) OP(*) OP(/)
#undef OP
  friend vec operator-(const vec& a) { vec r; for (int i = 0; i < N; i++) r[i] = T(-a[i]); return r; }
};
}
#define VECS(t) using t##2 = metal::vec<t, 2>; using t##3 = metal::vec<t, 3>; using t##4 = metal::vec<t, 4>;
VECS(float) VECS(half) VECS(bfloat) VECS(int) VECS(uint) VECS(short) VECS(ushort) VECS(char) VECS(uchar) VECS(bool) VECS(ulong) using long2 = metal::vec<int64_t, 2>; using long3 = metal::vec<int64_t, 3>;
struct packed_int3 { int x, y, z; int operator[](int i) const { return (&x)[i]; } };

namespace soft { template <class T> constexpr T pr(T v) { return v; } inline constexpr const char* pr(const char* v) { return v; } constexpr float pr(bfloat v) { return float(v); } }
