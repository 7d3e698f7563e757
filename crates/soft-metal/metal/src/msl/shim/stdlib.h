// Functions of the standard library.
#pragma once
#include "launch.h"
namespace metal {
using std::is_same_v; using std::enable_if_t; using std::conditional_t; using std::min; using std::max; using std::is_integral_v; using std::is_floating_point_v; using std::is_same; using std::integral_constant; using std::enable_if; using std::is_convertible_v;
using ::bfloat; using ::half; using ::uint;
template <class T> struct _numeric_limits_impl : std::numeric_limits<T> {};
template <> struct _numeric_limits_impl<half> { static constexpr half max() { return half(65504.f); } static constexpr half lowest() { return half(-65504.f); } static constexpr half min() { return half(6.1035156e-5f); } static constexpr half infinity() { return half(__builtin_inff()); } static constexpr half epsilon() { return half(9.765625e-4f); } };
template <> struct _numeric_limits_impl<bfloat> { static constexpr bfloat max() { return bfloat(3.38953139e38f); } static constexpr bfloat lowest() { return bfloat(-3.38953139e38f); } static constexpr bfloat min() { return bfloat(1.17549435e-38f); } static constexpr bfloat infinity() { return bfloat(__builtin_inff()); } static constexpr bfloat epsilon() { return bfloat(7.8125e-3f); } };
template <class T> struct numeric_limits : _numeric_limits_impl<T> {};
template <class T> struct __is_valid_simdgroup_type { static constexpr bool value = std::is_arithmetic_v<T> || std::is_same_v<T, half> || std::is_same_v<T, bfloat>; };
template <class T> T divide(T a, T b) { return a / b; }
constexpr float M_SQRT1_2_F = 0.70710678f, M_2_SQRTPI_F = 1.1283792f, M_PI_F = 3.14159265f, M_SQRT2_F = 1.41421356f, M_LN2_F = 0.69314718f, M_LOG2E_F = 1.44269504f;
#define M_SQRT1_2_H half(0.70710678f)
template <class T, class = void> struct Wide { using t = float; };
template <class T> struct Wide<T, std::enable_if_t<std::is_integral_v<T>>> { using t = float; };
#define M1(n, e) template <class T> std::enable_if_t<!std::is_class_v<T> || std::is_same_v<T, bfloat>, T> n(T v) { float x = float(v); return T(e); }
template <class T> auto M1_int_guard(T) -> T;
M1(exp, std::exp(x)) M1(log, std::log(x)) M1(sin, std::sin(x)) M1(cos, std::cos(x)) M1(tan, std::tan(x)) M1(tanh, std::tanh(x)) M1(sqrt, std::sqrt(x)) M1(rsqrt, 1.0f / std::sqrt(x))
M1(floor, std::floor(x)) M1(ceil, std::ceil(x)) M1(round, std::round(x)) M1(trunc, std::trunc(x)) M1(rint, std::rint(x)) M1(exp2, std::exp2(x)) M1(log2, std::log2(x)) M1(fabs, std::fabs(x)) M1(erf_, std::erf(x)) M1(sign, (x > 0) - (x < 0)) M1(asin, std::asin(x)) M1(acos, std::acos(x)) M1(atan, std::atan(x)) M1(cosh, std::cosh(x)) M1(sinh, std::sinh(x)) M1(log10, std::log10(x)) M1(fract, x - std::floor(x))
#undef M1
template <class T> T abs(T v) { return v < T(0) ? T(-v) : v; }
template <class T, class U> auto pow(T a, U b) { return std::pow(float(a), float(b)); }
template <class T> T fma(T a, T b, T c) { return T(std::fma(float(a), float(b), float(c))); }
template <class T, class U> auto fmin(T a, U b) { return std::fmin(float(a), float(b)); }
template <class T, class U> auto fmax(T a, U b) { return std::fmax(float(a), float(b)); }
template <class T> T fmod(T a, T b) { return T(std::fmod(float(a), float(b))); }
template <class T> bool isnan(T v) { return std::isnan(float(v)); }
template <class T> bool isinf(T v) { return std::isinf(float(v)); }
template <class T> bool isfinite(T v) { return std::isfinite(float(v)); }
template <class T> T clamp(T v, T a, T b) { return min(max(v, a), b); }
template <class T> T select(T a, T b, bool c) { return c ? b : a; }
inline float sincos(float x, float& c) { c = std::cos(x); return std::sin(x); }
using std::remove_cv_t; using std::is_const_v; using std::is_pointer_v; using std::is_signed_v; using std::is_unsigned_v; using std::is_void_v; using std::declval; using std::remove_reference_t; using std::make_unsigned_t; using std::true_type; using std::false_type; using std::is_arithmetic_v; using std::bool_constant; using std::is_class_v;
inline uint clz(uint v) { return v ? __builtin_clz(v) : 32; }
inline uint popcount(uint v) { return __builtin_popcount(v); }
template <class T, class U> T as_type(U v) { static_assert(sizeof(T) == sizeof(U)); return __builtin_bit_cast(T, v); }
template <class T, int N> T dot(vec<T, N> a, vec<T, N> b) { T s = 0; for (int i = 0; i < N; i++) s += a[i] * b[i]; return s; }
template <class F, class T, int N> vec<T, N> map_(vec<T, N> v, F f) { vec<T, N> r; for (int i = 0; i < N; i++) r[i] = f(v[i]); return r; }
#define MV(n) template <class T, int N> vec<T, N> n(vec<T, N> v) { return map_(v, [](T x) { return metal::n(x); }); }
MV(exp) MV(tanh) MV(abs) MV(sqrt) MV(log) MV(sin) MV(cos) MV(fabs)
#undef MV
template <class T, int N> vec<T, N> max(vec<T, N> a, vec<T, N> b) { vec<T, N> r; for (int i = 0; i < N; i++) r[i] = std::max(a[i], b[i]); return r; }
template <class T, int C, int R> struct matrix { vec<T, R> c[C]; matrix() = default; matrix(T d) { for (int i = 0; i < C; i++) { c[i] = vec<T, R>(T(0)); if (i < R) c[i][i] = d; } } vec<T, R>& operator[](int i) { return c[i]; } const vec<T, R>& operator[](int i) const { return c[i]; } };
template <class T, int N> vec<T, N> min(vec<T, N> a, vec<T, N> b) { vec<T, N> r; for (int i = 0; i < N; i++) r[i] = std::min(a[i], b[i]); return r; }
template <class T, int N> vec<T, N> fmax(vec<T, N> a, vec<T, N> b) { return max(a, b); }
template <class T, int N> vec<T, N> fmin(vec<T, N> a, vec<T, N> b) { return min(a, b); }
// Columns times a column, and a row times columns.
template <class T, int C, int R> vec<T, R> operator*(const matrix<T, C, R>& m, const vec<T, C>& v) { vec<T, R> r(T(0)); for (int i = 0; i < C; i++) for (int j = 0; j < R; j++) r[j] += m[i][j] * v[i]; return r; }
template <class T, int C, int R> vec<T, C> operator*(const vec<T, R>& v, const matrix<T, C, R>& m) { vec<T, C> r; for (int i = 0; i < C; i++) r[i] = dot(v, m[i]); return r; }
template <class T> struct vec_elements { static constexpr int value = 1; };
template <class T, int N> struct vec_elements<vec<T, N>> { static constexpr int value = N; };
template <class...> using void_t = void;
namespace fast { using metal::exp; using metal::log; using metal::sin; using metal::cos; using metal::tanh; using metal::rsqrt; template <class T> T min(T a, T b) { return std::min(a, b); } template <class T> T max(T a, T b) { return std::max(a, b); } template <class T> T divide(T a, T b) { return a / b; } using metal::exp2; }
using metal_f4x4 = matrix<float, 4, 4>;
namespace precise { using metal::exp; using metal::log; using metal::sin; using metal::cos; using metal::tanh; using metal::sqrt; using metal::rsqrt; using metal::pow; }
enum memory_order { memory_order_relaxed };
struct atomic_uint { uint v; };
inline uint atomic_load_explicit(const atomic_uint* p, memory_order) { return __atomic_load_n(&p->v, 0); }
inline void atomic_store_explicit(atomic_uint* p, uint v, memory_order) { __atomic_store_n(&p->v, v, 0); }
inline uint atomic_fetch_add_explicit(atomic_uint* p, uint v, memory_order) { return __atomic_fetch_add(&p->v, v, 0); }
}
using float4x4 = metal::matrix<float, 4, 4>;
using float2x4 = metal::matrix<float, 2, 4>;
using half4x4 = metal::matrix<half, 4, 4>;
using half2x4 = metal::matrix<half, 2, 4>;
using bfloat4x4 = metal::matrix<bfloat, 4, 4>;
using bfloat2x4 = metal::matrix<bfloat, 2, 4>;
