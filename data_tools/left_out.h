// Documents that could not be read and were left out (--on-error skip): their number, and the messages of the first.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

namespace sluice {

enum class OnError { refuse, skip };
OnError to_on_error(const std::string& word);  // refuse, skip. Errors: Failure(Exit::config)

class LeftOut {
 public:
    void add(const std::string& why);  // "FILE:LINE: why"
    void add(const std::vector<std::string>& whys);
    int64_t count() const { return count_; }
    void print() const;  // warnings on stderr, if there are any

 private:
    int64_t count_ = 0;
    std::vector<std::string> first_;
};

}  // namespace sluice
