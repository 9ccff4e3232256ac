// Keeps bytes in a temporary file without a name (in $TMPDIR, else /tmp) for a second reading. Errors:
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
    bool read(std::string& bytes);  // appends the next ones, from the first on; false at the end

 private:
    [[noreturn]] void refuse(const char* what) const;

    std::string folder_;
    int fd_ = -1;
    size_t read_ = 0;
};

}  // namespace sluice
