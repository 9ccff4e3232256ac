// A folder of a test's own, gone with it.
#pragma once
#include <unistd.h>

#include <filesystem>
#include <string>

namespace sluice {

class Folder {
 public:
    Folder() {
        std::string name = (std::filesystem::temp_directory_path() / "sluice test XXXXXX").string();  // with a space
        path_ = mkdtemp(name.data());
    }
    ~Folder() {
        std::error_code ignored;
        std::filesystem::remove_all(path_, ignored);
    }
    std::filesystem::path operator/(const std::string& name) const { return path_ / name; }
    const std::filesystem::path& path() const { return path_; }

 private:
    std::filesystem::path path_;
};

}  // namespace sluice
