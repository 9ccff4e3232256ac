#include "train/collective.h"

#include <new>
#include <string>
#include <vector>

#include "base/check.h"
#include "base/terminal.h"

namespace sluice {

int collectively(Comm& comm, const std::function<void()>& body) {
    int64_t code = 0;
    std::string message;
    try {
        body();
    } catch (const Failure& f) {
        code = int64_t(f.code());
        message = f.what();
    } catch (const std::bad_alloc&) {
        code = int64_t(Exit::out_of_memory);
        message = "out of memory: lower train.micro_batch or set train.recompute: block";
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

}  // namespace sluice
