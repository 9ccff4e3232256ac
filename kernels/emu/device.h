// The words of kernels/cuda/prim for kernels that run on the host. Every access of an element goes through here.
#pragma once
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <type_traits>

#include "base/bf16.h"
#include "kernels/cuda/prim/vec.h"
#include "kernels/emu/running.h"
#include "kernels/emu/watch.h"

#define DEVICE
#define SLUICE_EMU_INLINE [[gnu::always_inline]] inline

namespace sluice {

constexpr int kWarp = 32;

inline int thread() { return emu::running->thread; }
inline int block_threads() { return emu::running->threads; }
inline int lane() { return thread() % kWarp; }
inline int warp() { return thread() / kWarp; }
inline int64_t block_x() { return emu::running->block.x; }
inline int64_t block_y() { return emu::running->block.y; }
inline int64_t block_z() { return emu::running->block.z; }
inline int64_t grid_x() { return emu::running->grid.x; }

namespace emu {

// Device memory and shared memory, as what watches an access tells them apart.
struct OfDevice {
    SLUICE_EMU_INLINE static void read(const void* p, int bytes, int aligned) { watch_device_read(p, bytes, aligned); }
    SLUICE_EMU_INLINE static void write(const void* p, int bytes, int aligned) {
        watch_device_write(p, bytes, aligned);
    }
};
struct OfBlock {
    SLUICE_EMU_INLINE static void read(const void* p, int bytes, int aligned) { watch_shared_read(p, bytes, aligned); }
    SLUICE_EMU_INLINE static void write(const void* p, int bytes, int aligned) {
        watch_shared_write(p, bytes, aligned);
    }
};

template <class Of, class V>
SLUICE_EMU_INLINE V read(const V* p) {
    if (running->watched) [[unlikely]]
        Of::read(p, sizeof(V), alignof(V));
    return *p;
}
template <class Of, class V>
SLUICE_EMU_INLINE void write(V* p, const V& v) {
    if (running->watched) [[unlikely]]
        Of::write(p, sizeof(V), alignof(V));
    *p = v;
}

// p[i] in an expression: reads where it becomes a value, writes where it is assigned to. It cannot be kept: `auto x =
// p[i]` would read when x is used, and so x is of no use.
template <class T, class Of>
class Element {
 public:
    using Value = std::remove_const_t<T>;

    SLUICE_EMU_INLINE explicit Element(T* p) : p_(p) {}
    Element(const Element&) = delete;

    SLUICE_EMU_INLINE operator Value() && { return read<Of, Value>(p_); }
    SLUICE_EMU_INLINE operator float() && requires std::is_same_v<Value, bf16> { return read<Of, Value>(p_); }
    SLUICE_EMU_INLINE void operator=(const Value& v) && requires(!std::is_const_v<T>) { write<Of, Value>(p_, v); }
    SLUICE_EMU_INLINE void operator=(Element&& from) && { write<Of, Value>(p_, read<Of, Value>(from.p_)); }
    // += of kernels in which nothing else touches the element: a read and a write.
    SLUICE_EMU_INLINE void operator+=(const Value& v) && { write<Of, Value>(p_, Value(read<Of, Value>(p_) + v)); }
    SLUICE_EMU_INLINE void operator-=(const Value& v) && { write<Of, Value>(p_, Value(read<Of, Value>(p_) - v)); }
    SLUICE_EMU_INLINE void operator*=(const Value& v) && { write<Of, Value>(p_, Value(read<Of, Value>(p_) * v)); }

 private:
    T* p_;
};

// A pointer whose every use is seen.
template <class T, class Of>
class Pointer {
 public:
    Pointer() = default;
    SLUICE_EMU_INLINE Pointer(T* p) : p_(p) {}
    SLUICE_EMU_INLINE Pointer(std::nullptr_t) {}
    template <class U>
    requires(std::is_same_v<const U, T>) SLUICE_EMU_INLINE Pointer(Pointer<U, Of> p) : p_(p.raw()) {}

    SLUICE_EMU_INLINE Element<T, Of> operator[](int64_t i) const { return Element<T, Of>(p_ + i); }
    SLUICE_EMU_INLINE Pointer operator+(int64_t n) const { return p_ + n; }
    SLUICE_EMU_INLINE Pointer operator-(int64_t n) const { return p_ - n; }
    SLUICE_EMU_INLINE Pointer& operator+=(int64_t n) {
        p_ += n;
        return *this;
    }
    SLUICE_EMU_INLINE explicit operator bool() const { return p_ != nullptr; }
    SLUICE_EMU_INLINE friend bool operator==(Pointer a, Pointer b) { return a.p_ == b.p_; }
    SLUICE_EMU_INLINE T* raw() const { return p_; }  // for the emulator alone

 private:
    T* p_ = nullptr;
};

template <class X>
Slot slot_of(const X& x) {
    static_assert(sizeof(X) <= sizeof(Slot) && std::is_trivially_copyable_v<X>);
    Slot slot;
    std::memcpy(slot.words, &x, sizeof(X));
    return slot;
}
template <class X>
X from_slot(const Slot& slot) {
    X x;
    std::memcpy(&x, slot.words, sizeof(X));
    return x;
}
template <class X>
concept Shuffled =
    std::is_same_v<X, float> || std::is_same_v<X, double> || std::is_same_v<X, int32_t> || std::is_same_v<X, int64_t>;

}  // namespace emu

template <class T>
using Global = emu::Pointer<T, emu::OfDevice>;
template <class T>
using Shared = emu::Pointer<T, emu::OfBlock>;

template <int N, class T, class Of>
SLUICE_EMU_INLINE Vec<std::remove_const_t<T>, N> load(emu::Pointer<T, Of> p) {
    using V = Vec<std::remove_const_t<T>, N>;
    static_assert(sizeof(V) <= 16);
    return emu::read<Of, V>(reinterpret_cast<const V*>(p.raw()));
}
template <int N, class T, class Of>
SLUICE_EMU_INLINE void store(emu::Pointer<T, Of> p, const Vec<T, N>& v) {
    static_assert(sizeof(v) <= 16);
    emu::write<Of, Vec<T, N>>(reinterpret_cast<Vec<T, N>*>(p.raw()), v);
}

#define SHARED(T, name, count)                                                       \
    static constinit ::sluice::emu::SharedArray name##_place;                        \
    const ::sluice::Shared<T> name(reinterpret_cast<T*>(::sluice::emu::shared_array( \
        name##_place, int64_t(sizeof(T)) * int64_t(count), ::sluice::emu::Site::current())))

template <class T>
Shared<T> dynamic_shared(int64_t bytes, const emu::Site& at = emu::Site::current()) {
    return reinterpret_cast<T*>(emu::dynamic_shared(bytes, at));
}

inline void block_barrier(const emu::Site& at = emu::Site::current()) { emu::block_barrier(at); }
inline void warp_barrier(const emu::Site& at = emu::Site::current()) { emu::warp_barrier(at); }

// Lanes that lie outside of the warp give a lane its own value.
template <emu::Shuffled T>
T shuffle_xor(T v, int mask, const emu::Site& at = emu::Site::current()) {
    return emu::from_slot<T>(emu::collect("shuffle_xor", emu::slot_of(v), at)[(lane() ^ mask) % kWarp]);
}
template <emu::Shuffled T>
T shuffle_down(T v, int n, const emu::Site& at = emu::Site::current()) {
    const int from = lane() + n < kWarp ? lane() + n : lane();
    return emu::from_slot<T>(emu::collect("shuffle_down", emu::slot_of(v), at)[from]);
}
template <emu::Shuffled T>
T shuffle(T v, int from, const emu::Site& at = emu::Site::current()) {
    return emu::from_slot<T>(emu::collect("shuffle", emu::slot_of(v), at)[from % kWarp]);
}
inline uint32_t ballot(bool vote, const emu::Site& at = emu::Site::current()) {
    const emu::Slot* slots = emu::collect("ballot", emu::slot_of(vote), at);
    uint32_t votes = 0;
    for (int i = 0; i < kWarp; i++) votes |= uint32_t(emu::from_slot<bool>(slots[i])) << i;
    return votes;
}

}  // namespace sluice
