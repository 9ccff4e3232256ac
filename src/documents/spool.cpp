#include "documents/spool.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>

#include "base/check.h"

namespace sluice {
namespace {

constexpr size_t kSpoolBlock = size_t{1} << 17;  // bytes

}  // namespace

Spool::Spool() {
    std::error_code none;
    const auto folder = std::filesystem::temp_directory_path(none);
    folder_ = none ? "/tmp" : folder.string();
    std::string name = folder_ + "/sluice_XXXXXX";
    fd_ = mkostemp(name.data(), O_CLOEXEC);
    if (fd_ < 0) refuse("cannot make a temporary file");
    unlink(name.c_str());
}
Spool::~Spool() { close(fd_); }

void Spool::refuse(const char* what) const {
    fail(Exit::disk, folder_ + ": " + what + " for a long text from a pipe: " + std::strerror(errno) +
                         ": give the text as a file, or set TMPDIR to a folder with room");
}

void Spool::add(std::string_view bytes) {
    while (!bytes.empty()) {
        const ssize_t n = write(fd_, bytes.data(), bytes.size());
        if (n < 0 && errno != EINTR) refuse("cannot write");
        if (n > 0) bytes.remove_prefix(size_t(n));
    }
}

bool Spool::read(std::string& bytes) {
    const size_t before = bytes.size();
    bytes.resize(before + kSpoolBlock);
    ssize_t n = -1;
    do n = pread(fd_, bytes.data() + before, kSpoolBlock, off_t(read_));
    while (n < 0 && errno == EINTR);
    if (n < 0) refuse("cannot read");
    bytes.resize(before + size_t(n));
    read_ += size_t(n);
    return n > 0;
}

}  // namespace sluice
