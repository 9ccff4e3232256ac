#include "parallel/collective.h"

#include <new>
#include <string>
#include <vector>

#include "base/check.h"
#include "base/machine.h"
#include "cli/terminal.h"

namespace sluice {

int on_all_ranks(Comm& comm, const std::function<void()>& body) {
    int64_t code = 0;
    std::string message;
    try {
        body();
    } catch (const Failure& f) {
        code = int64_t(f.code());
        message = f.what();
    } catch (const std::bad_alloc&) {
        code = int64_t(Exit::out_of_memory);
        message = "out of memory on the host: " + free_memory() + "; lower train.micro_batch or start fewer ranks";
    }
    std::vector<int64_t> codes(size_t(comm.size()));
    comm.all_gather(codes.data(), &code, 1);
    for (int r = 0; r < comm.size(); r++) {
        if (codes[size_t(r)] == 0) continue;
        if (r == comm.rank()) print_error(message);
        return int(codes[size_t(r)]);
    }
    return 0;
}

std::string from_rank_zero(Comm& comm, std::string text) {
    int64_t size = int64_t(text.size());
    comm.broadcast(&size, sizeof size, 0);
    text.resize(size_t(size));
    if (size > 0) comm.broadcast(text.data(), text.size(), 0);
    return text;
}

int first_other(Comm& comm, const std::string& text) {
    const int64_t other = from_rank_zero(comm, text) != text;
    std::vector<int64_t> others(size_t(comm.size()));
    comm.all_gather(others.data(), &other, 1);
    for (int r = 0; r < comm.size(); r++)
        if (others[size_t(r)]) return r;
    return -1;
}

}  // namespace sluice
