// What the address and thread sanitizers are told; nothing in other builds.
#pragma once
#include <cstddef>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif
#if defined(__SANITIZE_THREAD__) || defined(SLUICE_TSAN)
// The emulator itself is compiled without the thread sanitizer, which then sees no more than the kernels.
#include <sanitizer/tsan_interface.h>
#define SLUICE_EMU_TSAN 1
extern "C" {
void AnnotateIgnoreReadsBegin(const char* file, int line);
void AnnotateIgnoreReadsEnd(const char* file, int line);
void AnnotateIgnoreWritesBegin(const char* file, int line);
void AnnotateIgnoreWritesEnd(const char* file, int line);
}
#endif

namespace sluice::emu {

#ifdef SLUICE_EMU_TSAN
constexpr bool kTsan = true;
inline void* tsan_current() { return __tsan_get_current_fiber(); }
inline void* tsan_create() { return __tsan_create_fiber(0); }
inline void tsan_destroy(void* fiber) { __tsan_destroy_fiber(fiber); }
// A switch orders nothing: only barriers do.
inline void tsan_change(void* to) { __tsan_switch_to_fiber(to, __tsan_switch_to_fiber_no_sync); }
inline void tsan_acquire(void* at) { __tsan_acquire(at); }
inline void tsan_release(void* at) { __tsan_release(at); }
inline void tsan_look_away() {
    AnnotateIgnoreReadsBegin(__FILE__, __LINE__);
    AnnotateIgnoreWritesBegin(__FILE__, __LINE__);
}
inline void tsan_look() {
    AnnotateIgnoreWritesEnd(__FILE__, __LINE__);
    AnnotateIgnoreReadsEnd(__FILE__, __LINE__);
}
#else
constexpr bool kTsan = false;
inline void* tsan_current() { return nullptr; }
inline void* tsan_create() { return nullptr; }
inline void tsan_destroy(void*) {}
inline void tsan_change(void*) {}
inline void tsan_acquire(void*) {}
inline void tsan_release(void*) {}
inline void tsan_look_away() {}
inline void tsan_look() {}
#endif

// The emulator at work on a fiber: what it does there to its own state, one fiber at a time, is no race.
class Unseen {
 public:
    Unseen() { tsan_look_away(); }
    ~Unseen() { tsan_look(); }
    Unseen(const Unseen&) = delete;
    Unseen& operator=(const Unseen&) = delete;
};

#if defined(__SANITIZE_ADDRESS__)
inline void asan_leave(void** fake_stack, const void* to, size_t bytes) {
    __sanitizer_start_switch_fiber(fake_stack, to, bytes);
}
inline void asan_arrive(void* fake_stack, const void** from, size_t* bytes) {
    __sanitizer_finish_switch_fiber(fake_stack, from, bytes);
}
inline void asan_unpoison(const void* p, size_t bytes) { __asan_unpoison_memory_region(p, bytes); }
#else
inline void asan_leave(void**, const void*, size_t) {}
inline void asan_arrive(void*, const void**, size_t*) {}
inline void asan_unpoison(const void*, size_t) {}
#endif

}  // namespace sluice::emu
