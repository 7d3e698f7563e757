// Fibers, and the calling of kernels. Threads and threadgroups run in an order that follows from a seed, so that what a
// missing barrier leaves open shows; threads that wait at different barriers are an error.
#pragma once
#include "types.h"
#include <csetjmp>
#if !defined(__x86_64__)
#error "the fiber switch is written for x86-64"
#endif
namespace soft {
enum Wait { RUN, SIMD, GROUP, DONE };
// As `Context` in launch.rs.
struct Ctx {
  void* buf[32];
  uint32_t tg_len[32];
  uint32_t threads[3], group[3];
  uint64_t seed;
  uint32_t at_group[3], at_thread[3];
  uintptr_t end[32];
  void (*outside)(Ctx*, uintptr_t address, bool write);
  alignas(16) char escape[512];
  const char* error;
  void* tg[32];
  uint3 groups, tpg, gpos;
};
static_assert(sizeof(sigjmp_buf) <= 512);

asm(".text\n.hidden soft_switch\n.globl soft_switch\n.type soft_switch,@function\nsoft_switch:\n"
    "pushq %rbp\npushq %rbx\npushq %r12\npushq %r13\npushq %r14\npushq %r15\nmovq %rsp,(%rdi)\nmovq %rsi,%rsp\n"
    "popq %r15\npopq %r14\npopq %r13\npopq %r12\npopq %rbx\npopq %rbp\nret\n");
extern "C" void soft_switch(void** save, void* to);

struct Fiber { void* sp; Wait wait; int site; uint3 tpos; uint index; bool turn; };
inline Ctx* C;
inline Fiber* F;
inline std::vector<Fiber> fibers;
inline std::vector<uint> order;
inline void* home;
inline void (*entry)(Ctx&);
inline unsigned char slot[2][32][32][64]; // [turn][simdgroup][lane]
inline uint64_t group_number;

// What nothing has been written to: NaN in every float type. As in memory.rs.
inline void poison(void* p, size_t n) { std::memset(p, 0xff, n); }
// Threadgroup memory that a kernel declares is new to every threadgroup: poisoned by the first thread that comes by.
inline void fresh(uint64_t& poisoned_for, void* p, size_t n) { if (poisoned_for != group_number) { poisoned_for = group_number; poison(p, n); } }

UNCHECKED inline uint32_t random_below(uint32_t n) {
  uint64_t& s = C->seed;
  s ^= s << 13; s ^= s >> 7; s ^= s << 17;
  return uint32_t((s >> 32) % n);
}
UNCHECKED inline void shuffle(std::vector<uint>& v) { for (uint i = v.size(); i > 1; i--) std::swap(v[i - 1], v[random_below(i)]); }
inline std::vector<uint> shuffled(uint n) { std::vector<uint> v(n); for (uint i = 0; i < n; i++) v[i] = i; shuffle(v); return v; }

// `site` is the line of the barrier: all that wait together must wait at the same one.
UNCHECKED inline void yield(Wait w, int site = 0) { if (C->error) return; F->wait = w; F->site = site; soft_switch(&F->sp, home); }
UNCHECKED inline void trampoline() { entry(*C); F->wait = DONE; soft_switch(&F->sp, home); }

// A new stack that returns into `trampoline`.
inline void* fresh_stack(uint i) {
  static std::vector<char*> stacks;
  constexpr size_t SIZE = 64 << 10;
  while (stacks.size() <= i) stacks.push_back((char*)malloc(SIZE));
  void** top = (void**)(((uintptr_t)stacks[i] + SIZE) & ~uintptr_t(15));
  top[-1] = nullptr;
  top[-2] = (void*)trampoline;
  for (int r = 3; r < 9; r++) top[-r] = nullptr;
  return top - 8;
}
// Lets fibers [from, to) go on if all that live wait for each other. Threads that have returned are not waited for.
UNCHECKED inline bool release(uint from, uint to, Wait w) {
  bool any = false;
  int site = 0;
  for (uint i = from; i < to; i++) {
    if (fibers[i].wait == DONE) continue;
    if (fibers[i].wait != w) return false;
    if (any && fibers[i].site != site) { C->error = "threads wait at different barriers"; return true; }
    any = true; site = fibers[i].site;
  }
  if (any) for (uint i = from; i < to; i++) if (fibers[i].wait == w) fibers[i].wait = RUN;
  return any;
}
UNCHECKED inline void run_group(bool waits) {
  uint n = C->tpg.x * C->tpg.y * C->tpg.z;
  fibers.resize(n);
  if (order.size() != n) order = shuffled(n); else shuffle(order);
  for (uint i : order) {
    Fiber& f = fibers[i];
    f.index = i; f.tpos = uint3(i % C->tpg.x, i / C->tpg.x % C->tpg.y, i / (C->tpg.x * C->tpg.y)); f.wait = RUN; f.turn = false;
    if (waits) f.sp = fresh_stack(i); else { F = &f; entry(*C); }
  }
  // SIMD groups have no common pace: one of them goes on only now and then, or when no other can.
  uint slow = n > 32 ? random_below((n + 31) / 32) : n;
  bool ran = true;
  while (waits) {
    bool lags = ran && n > 32 && random_below(8) != 0, live = false;
    ran = false;
    for (uint i : order) if (fibers[i].wait == RUN && !(lags && i / 32 == slow)) { F = &fibers[i]; soft_switch(&home, F->sp); ran = true; }
    for (uint s = 0; s < n; s += 32) ran |= release(s, std::min(n, s + 32), SIMD);
    ran |= release(0, n, GROUP);
    for (auto& f : fibers) live |= f.wait != DONE;
    if (!live || C->error) return;
    if (!ran && !lags) { C->error = "threads of a threadgroup wait at different barriers"; return; }
    shuffle(order);
  }
}
UNCHECKED inline uint lanes() { uint n = C->tpg.x * C->tpg.y * C->tpg.z, s = F->index / 32 * 32; return std::min(32u, n - s); }
// Shows a value to the SIMD group. One wait is enough: slots are used in turns, and who uses one again has waited once more,
// when all had read it.
template <class T> UNCHECKED void show(const T& v) {
  static_assert(sizeof(T) <= 64);
  F->turn = !F->turn;
  std::memcpy(slot[F->turn][F->index / 32][F->index % 32], &v, sizeof v);
  yield(SIMD);
}
template <class T> UNCHECKED T shown(uint lane) { T v; std::memcpy(&v, slot[F->turn][F->index / 32][lane], sizeof v); return v; }
template <class T> UNCHECKED T exchange(T v, uint from) { show(v); return from < lanes() ? shown<T>(from) : v; }
template <class T, class O> UNCHECKED T reduce(T v, O op) {
  show(v);
  T r = shown<T>(0);
  for (uint i = 1, n = lanes(); i < n; i++) r = op(r, shown<T>(i));
  return r;
}
// Calling a kernel: what each parameter is comes from the attribute parser
inline uint3 whole(const uint32_t* v) { return uint3(v[0], v[1], v[2]); }
enum Kind { BUF, TG, TPIG, TGPIG, TPITG, TPTG, DTPTG, TGPG, TPG, TIITG, TIISG, SGIITG, SGPTG, TPSG };
struct Par { Kind k; int i; };
template <class V> V coord(uint3 c) { if constexpr (std::is_arithmetic_v<V>) return V(c.x); else { V v; for (size_t i = 0; i < sizeof(V) / sizeof(v.x) && i < 3; i++) v[i] = c[i]; return v; } }
template <class A> A arg(Par p) {
  using V = std::remove_cv_t<std::remove_reference_t<A>>;
  if constexpr (std::is_pointer_v<V>) return (V)(p.k == TG ? C->tg[p.i] : C->buf[p.i]);
  else if constexpr (std::is_reference_v<A>) return *(std::remove_reference_t<A>*)C->buf[p.i];
  else {
    uint3 g(C->gpos.x * C->group[0] + F->tpos.x, C->gpos.y * C->group[1] + F->tpos.y, C->gpos.z * C->group[2] + F->tpos.z);
    switch (p.k) {
      case TPIG: return coord<V>(g); case TGPIG: return coord<V>(C->gpos); case TPITG: return coord<V>(F->tpos); case TPTG: return coord<V>(C->tpg); case DTPTG: return coord<V>(whole(C->group));
      case TGPG: return coord<V>(C->groups); case TPG: return coord<V>(uint3(C->threads[0], C->threads[1], C->threads[2]));
      default: break;
    }
    uint n = C->tpg.x * C->tpg.y * C->tpg.z;
    uint s = p.k == TIITG ? F->index : p.k == TIISG ? F->index % 32 : p.k == SGIITG ? F->index / 32 : p.k == SGPTG ? (n + 31) / 32 : 32;
    return coord<V>(uint3(s, 0, 0));
  }
}
template <class... A, size_t... I> void call_(void (*f)(A...), const Par* p, std::index_sequence<I...>) { f(arg<A>(p[I])...); }
template <class... A> void call(void (*f)(A...), const Par* p) { call_(f, p, std::index_sequence_for<A...>{}); }
// One threadgroup; those at the edge of `dispatchThreads` are smaller, and positions use the full size, as all before
// them are full.
inline void run_at(uint3 at, bool waits) {
  C->gpos = at;
  for (int i = 0; i < 3; i++) {
    C->at_group[i] = at[i];
    C->tpg[i] = std::min(C->group[i], C->threads[i] - at[i] * C->group[i]);
  }
  run_group(waits);
}
inline void run_grid(bool waits) {
  uint3 g = C->groups;
  for (uint i : shuffled(g.x * g.y * g.z)) {
    group_number++;
    for (int m = 0; m < 32; m++) poison(C->tg[m], C->tg_len[m]);
    run_at(uint3(i % g.x, i / g.x % g.y, i / (g.x * g.y)), waits);
    if (C->error) return;
  }
}
inline const char* launch(void (*e)(Ctx&), Ctx* c, bool waits) {
  C = c; entry = e; c->error = nullptr;
  static std::vector<double> memory[32];
  for (int i = 0; i < 32; i++) { memory[i].resize(c->tg_len[i] / 8 + 2); c->tg[i] = memory[i].data(); }
  for (int i = 0; i < 3; i++) c->groups[i] = (c->threads[i] + c->group[i] - 1) / c->group[i];
  // A fault jumps back here, past the fibers.
  if (sigsetjmp(*(sigjmp_buf*)c->escape, 1) == 0) run_grid(waits);
  if (F) for (int i = 0; i < 3; i++) c->at_thread[i] = F->tpos[i];
  return c->error;
}
}
