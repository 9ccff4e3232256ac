// Bytes laid aside in a temporary file without a name ($TMPDIR, else /tmp), to be read once more. Errors:
// Failure(Exit::disk).
#pragma once
#include <string>
#include <string_view>

namespace sluice {

class Spool {
 public:
    Spool();
    Spool(const Spool&) = delete;
    Spool& operator=(const Spool&) = delete;
    ~Spool();
    void add(std::string_view bytes);
    bool read(std::string& bytes);  // appends some, from the first on; false at the end

 private:
    [[noreturn]] void refuse(const char* what) const;

    std::string folder_;
    int fd_ = -1;
    size_t read_ = 0;
};

}  // namespace sluice
