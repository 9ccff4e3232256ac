#include "data_tools/left_out.h"

#include "base/check.h"
#include "base/format.h"
#include "cli/terminal.h"

namespace sluice {
namespace {

constexpr size_t kPrinted = 10;

}  // namespace

OnError to_on_error(const std::string& word) {
    if (word == "refuse") return OnError::refuse;
    if (word == "skip") return OnError::skip;
    fail(Exit::config, "--on-error " + word + ": there are refuse and skip");
}

void LeftOut::add(const std::string& why) {
    count_++;
    if (first_.size() < kPrinted) first_.push_back(why);
}

void LeftOut::add(const std::vector<std::string>& whys) {
    for (const std::string& why : whys) add(why);
}

void LeftOut::print() const {
    if (count_ == 0) return;
    print_warning(counted(count_, "document") + " could not be read and " + (count_ == 1 ? "was" : "were") +
                  " left out" + (count_ > int64_t(kPrinted) ? "; the first " + std::to_string(kPrinted) + ":" : ":"));
    for (const std::string& why : first_) print_warning(why);
}

}  // namespace sluice
