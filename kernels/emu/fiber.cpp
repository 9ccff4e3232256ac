#include "kernels/emu/fiber.h"

#include <sys/mman.h>
#include <unistd.h>

#include <new>

#include "kernels/emu/sanitizers.h"

namespace sluice::emu {
namespace {

using boost::context::detail::jump_fcontext;
using boost::context::detail::make_fcontext;
using boost::context::detail::transfer_t;

// Who left, and who continues; lies on the stack that was left.
struct Change {
    Fiber& from;
    Fiber& to;
};

size_t page() { return size_t(sysconf(_SC_PAGESIZE)); }

}  // namespace

Fiber::Fiber(int number, void (*body)()) : body_(body), staggered_(size_t(number % 32) * 320), host_(false) {
    void* mapped = mmap(nullptr, kStack + page(), PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
    if (mapped == MAP_FAILED) throw std::bad_alloc();
    mprotect(mapped, page(), PROT_NONE);
    stack_ = static_cast<char*>(mapped) + page();
    restart();
}

Fiber::~Fiber() {
    if (host_) return;
    tsan_destroy(tsan_);
    asan_unpoison(stack_, kStack);  // or what is mapped there next is taken for a part of it
    munmap(stack_ - page(), kStack + page());
}

void Fiber::restart() {
    asan_unpoison(stack_, kStack);
    if (tsan_) tsan_destroy(tsan_);
    tsan_ = tsan_create();
    fake_stack_ = nullptr;
    context_ = make_fcontext(stack_ + kStack - staggered_, kStack - staggered_, enter);
}

void Fiber::change(Fiber& from, Fiber& to) {
    Change change{from, to};
    if (from.host_) from.tsan_ = tsan_current();
    asan_leave(&from.fake_stack_, to.stack_, to.stack_bytes_);
    tsan_look();  // who leaves may never come back
    tsan_change(to.tsan_);
    from.arrived(jump_fcontext(to.context_, &change));
    tsan_look_away();
}

// On the stack of this fiber, which has just been continued or begun.
void Fiber::arrived(transfer_t transfer) {
    Fiber& left = static_cast<Change*>(transfer.data)->from;
    left.context_ = transfer.fctx;
    const void* bottom = nullptr;
    size_t bytes = 0;
    asan_arrive(fake_stack_, &bottom, &bytes);
    if (left.host_ && bottom) {
        left.stack_ = static_cast<char*>(const_cast<void*>(bottom));
        left.stack_bytes_ = bytes;
    }
}

void Fiber::enter(transfer_t transfer) {
    Fiber& self = static_cast<Change*>(transfer.data)->to;
    self.arrived(transfer);
    self.body_();
}

}  // namespace sluice::emu
