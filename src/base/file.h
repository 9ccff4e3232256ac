// Files and folders. write_file() survives a crash: it writes under another name, calls fsync, then renames. Errors
// when writing: Failure(Exit::disk) with path and reason.
#pragma once
#include <cstddef>
#include <filesystem>
#include <string>
#include <vector>

namespace sluice {

// A file that is written from its start. close() calls fsync; the destructor alone does not.
class OutputFile {
 public:
    explicit OutputFile(const std::filesystem::path& path);  // replaces an existing file
    OutputFile(const OutputFile&) = delete;
    OutputFile& operator=(const OutputFile&) = delete;
    ~OutputFile();
    void write(const void* data, size_t bytes);
    void write_at(const void* data, size_t bytes, size_t offset);  // overwrites bytes that were written before
    void close();

 private:
    std::filesystem::path path_;
    int fd_ = -1;
};

// Symbolic links: followed for files that a user names and in checkpoints, refused while walking folders of unknown
// origin.
enum class Links { refuse, follow };

// Whether a path exists, or is a folder; links are followed. A path that cannot be examined (a loop of links, a folder
// that may not be searched, a name too long) counts as absent: opening it reports the reason.
bool is_there(const std::filesystem::path& path);
bool is_folder(const std::filesystem::path& path);
// The entries of a folder, sorted. Errors: Failure(exit_code), also where there is no such folder.
std::vector<std::filesystem::path> list_folder(const std::filesystem::path& path, int exit_code);
// Why a path cannot be opened; number: errno. "is a link to X: No such file or directory".
std::string why_not(const std::filesystem::path& path, int number);

// A regular file (no pipe or folder) that is read by byte offset. Errors: Failure(exit_code).
class InputFile {
 public:
    InputFile(const std::filesystem::path& path, int exit_code, Links links = Links::refuse);
    InputFile(const InputFile&) = delete;
    InputFile& operator=(const InputFile&) = delete;
    ~InputFile();
    size_t size() const { return size_; }
    const std::filesystem::path& path() const { return path_; }
    void read(void* data, size_t bytes, size_t offset) const;

 private:
    std::filesystem::path path_;
    int code_, fd_ = -1;
    size_t size_ = 0;
};

std::string read_file(const std::filesystem::path& path, int exit_code, size_t most_bytes, Links links = Links::refuse);
void write_file(const std::filesystem::path& path, const std::string& text);  // atomically, through path.tmp
void make_folders(const std::filesystem::path& path);
void sync_folder(const std::filesystem::path& path);
void rename_path(const std::filesystem::path& from, const std::filesystem::path& to);
void remove_tree(const std::filesystem::path& path);  // a missing path is no error; links are removed, not followed

}  // namespace sluice
