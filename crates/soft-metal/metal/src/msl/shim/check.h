// Accesses between the end of a buffer and its guard page: the compiler calls these before every access, by
// -fsanitize=kernel-address. Only what ends in the last bytes of a page can be meant.
#pragma once
#include "launch.h"
namespace soft {
// As in memory.rs.
constexpr uintptr_t PAGE = 4096, ALIGNMENT = 16;
UNCHECKED inline void look(uintptr_t p, uintptr_t n, bool write) {
  if (!C) return; // the library is being loaded
  for (uintptr_t end : C->end) {
    bool outside = p + n > end && p < (end + PAGE - 1) / PAGE * PAGE;
    if (end && outside) C->outside(C, std::max(p, end), write);
  }
}
UNCHECKED inline void check(uintptr_t p, uintptr_t n, bool write) {
  if (__builtin_expect(p % PAGE + n > PAGE - ALIGNMENT, false)) look(p, n, write);
}
}
#define CALLED extern "C" __attribute__((used, visibility("hidden"))) UNCHECKED void
#define WIDTH(n) \
  CALLED __asan_load##n##_noabort(uintptr_t p) { soft::check(p, n, false); } \
  CALLED __asan_store##n##_noabort(uintptr_t p) { soft::check(p, n, true); }
WIDTH(1) WIDTH(2) WIDTH(4) WIDTH(8) WIDTH(16)
#undef WIDTH
CALLED __asan_loadN_noabort(uintptr_t p, uintptr_t n) { soft::check(p, n, false); }
CALLED __asan_storeN_noabort(uintptr_t p, uintptr_t n) { soft::check(p, n, true); }
CALLED __asan_handle_no_return() {}
CALLED __asan_before_dynamic_init(const char*) {}
CALLED __asan_after_dynamic_init() {}
#undef CALLED
