// One rank: collectives are identity copies.
#include <cstdlib>
#include <cstring>

#include "parallel/comm.h"

namespace sluice {
namespace {

class Solo : public Comm {
 public:
    int rank() const override { return 0; }
    int size() const override { return 1; }
    std::unique_ptr<Comm> split(int) override { return std::make_unique<Solo>(); }
    void broadcast(void*, size_t, int) override {}
    void barrier() override {}
    void abort(int code) override { std::exit(code); }

 private:
    static void move(void* out, const void* in, size_t bytes) {
        if (bytes > 0 && out != in) std::memmove(out, in, bytes);
    }
    void reduce(void*, int64_t, Number) override {}
    void scatter(void* out, const void* in, const int64_t* counts, Number type) override {
        move(out, in, size_t(counts[0]) * bytes_of(type));
    }
    void gather(void* out, const void* in, const int64_t* counts, size_t item) override {
        move(out, in, size_t(counts[0]) * item);
    }
    void gather(void* out, const void* in, int64_t count, size_t item) override { move(out, in, size_t(count) * item); }
    void exchange(void* out, const int64_t*, const void* in, const int64_t* in_counts, size_t item) override {
        move(out, in, size_t(in_counts[0]) * item);
    }
};

}  // namespace

std::unique_ptr<Comm> solo_comm() { return std::make_unique<Solo>(); }

}  // namespace sluice
