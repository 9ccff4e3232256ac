// Stacks that take turns on one thread of the host. Sanitizers are told of every switch.
#pragma once
#include <boost/context/detail/fcontext.hpp>
#include <cstddef>

namespace sluice::emu {

class Fiber {
 public:
    static constexpr size_t kStack = size_t{64} << 10;  // bytes, above a page that must not be touched

    Fiber() = default;  // stands for the stack of the host's thread, once it has left it
    // The number staggers stacks: at equal offsets their tops would share a few sets of the cache.
    Fiber(int number, void (*body)());
    ~Fiber();
    Fiber(const Fiber&) = delete;
    Fiber& operator=(const Fiber&) = delete;

    // Leaves `from`, which runs now, and continues `to` where it left, or begins its body, which must not return. The
    // thread sanitizer looks away from who calls (sanitizers.h).
    static void change(Fiber& from, Fiber& to);
    // What ran on this fiber will never continue: it begins its body again.
    void restart();

 private:
    static void enter(boost::context::detail::transfer_t);
    void arrived(boost::context::detail::transfer_t);

    boost::context::detail::fcontext_t context_ = nullptr;
    void (*body_)() = nullptr;
    char* stack_ = nullptr;  // the lowest usable byte
    size_t stack_bytes_ = kStack, staggered_ = 0;
    void* fake_stack_ = nullptr;  // of the address sanitizer
    void* tsan_ = nullptr;
    bool host_ = true;
};

}  // namespace sluice::emu
