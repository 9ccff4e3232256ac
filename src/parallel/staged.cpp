#include "parallel/staged.h"

#include <algorithm>
#include <vector>

#include "base/bf16.h"

namespace sluice {

class StagedComm final : public Comm {
 public:
    StagedComm(std::unique_ptr<Comm> host, Memory& memory, const Stream* stream)
        : host_(std::move(host)), memory_(memory), stream_(stream) {}

    int rank() const override { return host_->rank(); }
    int size() const override { return host_->size(); }
    std::unique_ptr<Comm> split(int color) override { return staged_comm(host_->split(color), memory_, stream_); }
    void broadcast(void* x, size_t bytes, int root) override {
        if (size() == 1) return;
        host_->broadcast(fetch(in_, x, bytes), bytes, root);
        memory_.to_device(*stream_, x, in_.data(), bytes);
    }
    void barrier() override {
        memory_.wait(*stream_);
        host_->barrier();
    }
    void abort(int code) override { host_->abort(code); }
    bool only_queues() const override { return size() == 1; }
    std::string name_in_launch() const override { return host_->name_in_launch(); }
    std::string who_is_lost() const override { return host_->who_is_lost(); }

 private:
    using Bytes = std::vector<std::byte>;

    // The host's copy of what lies at `from`.
    void* fetch(Bytes& host, const void* from, size_t bytes) {
        if (host.size() < bytes) host.resize(bytes);
        memory_.to_host(*stream_, host.data(), from, bytes);
        memory_.wait(*stream_);
        return host.data();
    }
    void* room(Bytes& host, size_t bytes) {
        if (host.size() < bytes) host.resize(bytes);
        return host.data();
    }
    void copy(void* out, const void* in, size_t bytes) {
        if (bytes > 0 && out != in) memory_.copy(*stream_, out, in, bytes);
    }

    // The numbers at `from` in a type that the host sums: bf16 as float.
    Number widen(const void* from, int64_t count, Number type) {
        fetch(in_, from, size_t(count) * bytes_of(type));
        if (type != Number::bf16) return type;
        const auto* narrow = reinterpret_cast<const bf16*>(in_.data());
        auto* wide = static_cast<float*>(room(wide_, size_t(count) * sizeof(float)));
        std::copy_n(narrow, count, wide);
        std::swap(in_, wide_);
        return Number::f32;
    }
    // Sums in `host` go back to the device as `type`.
    void narrow(void* to, Bytes& host, int64_t count, Number type) {
        if (type == Number::bf16) {
            const auto* wide = reinterpret_cast<const float*>(host.data());
            auto* rounded = static_cast<bf16*>(room(wide_, size_t(count) * sizeof(bf16)));
            std::transform(wide, wide + count, rounded, [](float x) { return bf16(x); });
            std::swap(host, wide_);
        }
        memory_.to_device(*stream_, to, host.data(), size_t(count) * bytes_of(type));
    }

    void reduce(void* x, int64_t count, Number type) override {
        if (size() == 1 || count == 0) return;
        const Number summed = widen(x, count, type);
        host_->reduce(in_.data(), count, summed);
        narrow(x, in_, count, type);
    }
    void scatter(void* out, const void* in, const int64_t* counts, Number type) override {
        const int64_t own = counts[rank()];
        if (size() == 1) return copy(out, in, size_t(own) * bytes_of(type));
        const Number summed = widen(in, sum(counts), type);
        host_->scatter(room(out_, size_t(own) * bytes_of(summed)), in_.data(), counts, summed);
        narrow(out, out_, own, type);
    }
    void gather(void* out, const void* in, const int64_t* counts, size_t item) override {
        const size_t own = size_t(counts[rank()]) * item, all = size_t(sum(counts)) * item;
        if (size() == 1) return copy(out, in, own);
        fetch(in_, in, own);
        host_->gather(room(out_, all), in_.data(), counts, item);
        memory_.to_device(*stream_, out, out_.data(), all);
    }
    void gather(void* out, const void* in, int64_t count, size_t item) override {
        const size_t own = size_t(count) * item, all = own * size_t(size());
        if (size() == 1) return copy(out, in, own);
        fetch(in_, in, own);
        host_->gather(room(out_, all), in_.data(), count, item);
        memory_.to_device(*stream_, out, out_.data(), all);
    }
    void exchange(void* out, const int64_t* out_counts, const void* in, const int64_t* in_counts,
                  size_t item) override {
        const size_t sent = size_t(sum(in_counts)) * item, received = size_t(sum(out_counts)) * item;
        if (size() == 1) return copy(out, in, sent);
        fetch(in_, in, sent);
        host_->exchange(room(out_, received), out_counts, in_.data(), in_counts, item);
        memory_.to_device(*stream_, out, out_.data(), received);
    }

    std::unique_ptr<Comm> host_;
    Memory& memory_;
    const Stream* stream_;
    Bytes in_, out_, wide_;
};

std::unique_ptr<Comm> staged_comm(std::unique_ptr<Comm> host, Memory& memory, const Stream* stream) {
    return std::make_unique<StagedComm>(std::move(host), memory, stream);
}

}  // namespace sluice
