// Files that survive a crash: written under another name, fsynced, renamed. Errors: Failure(Exit::disk) when writing,
// with path and reason.
#pragma once
#include <cstddef>
#include <filesystem>
#include <string>
#include <vector>

namespace sluice {

// A file being written from its start. close() fsyncs; without it the destructor only closes.
class OutputFile {
 public:
    explicit OutputFile(const std::filesystem::path& path);  // replaces what is there
    OutputFile(const OutputFile&) = delete;
    OutputFile& operator=(const OutputFile&) = delete;
    ~OutputFile();
    void write(const void* data, size_t bytes);
    void write_at(const void* data, size_t bytes, size_t offset);  // over what was written before
    void close();

 private:
    std::filesystem::path path_;
    int fd_ = -1;
};

// Links are followed where a user names files of his own and in checkpoints, refused where a folder from anywhere is
// walked.
enum class Links { refuse, follow };

// What stands at a path, links followed. What cannot be looked at (a loop of links, a folder that may not be searched,
// a name too long) counts as absent: reading it tells why.
bool is_there(const std::filesystem::path& path);
bool is_folder(const std::filesystem::path& path);
// What a folder holds, sorted. Errors: Failure(code), no such folder among them.
std::vector<std::filesystem::path> list_folder(const std::filesystem::path& path, int exit_code);
// Why a path cannot be opened, from errno's number: "is a link to X: No such file or directory".
std::string why_not(const std::filesystem::path& path, int number);

// A regular file (no pipe or folder) read by position. Errors: Failure(code).
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
void remove_tree(const std::filesystem::path& path);  // what is not there is no error; links are removed, not followed

}  // namespace sluice
