#include "base/file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>

#include "base/check.h"

namespace sluice {
namespace {

[[noreturn]] void disk_error(const std::filesystem::path& path, const char* what) {
    fail(Exit::disk, path.string() + ": cannot " + what + ": " + std::strerror(errno));
}

}  // namespace

bool is_there(const std::filesystem::path& path) {
    std::error_code error;
    return std::filesystem::exists(path, error);
}

bool is_folder(const std::filesystem::path& path) {
    std::error_code error;
    return std::filesystem::is_directory(path, error);
}

std::vector<std::filesystem::path> list_folder(const std::filesystem::path& path, int exit_code) {
    std::vector<std::filesystem::path> entries;
    std::error_code error;
    std::filesystem::directory_iterator at(path, error);
    for (; !error && at != std::filesystem::directory_iterator(); at.increment(error)) entries.push_back(at->path());
    if (error) fail(Exit(exit_code), path.string() + ": cannot read the folder: " + why_not(path, error.value()));
    std::sort(entries.begin(), entries.end());
    return entries;
}

std::string why_not(const std::filesystem::path& path, int number) {
    std::error_code error;
    const std::filesystem::path target = std::filesystem::read_symlink(path, error);
    return (error ? "" : "is a link to " + target.string() + ": ") + std::strerror(number);
}

OutputFile::OutputFile(const std::filesystem::path& path) : path_(path) {
    fd_ = open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0666);
    if (fd_ < 0) disk_error(path, "create");
}

OutputFile::~OutputFile() {
    if (fd_ >= 0) ::close(fd_);
}

void OutputFile::write(const void* data, size_t bytes) {
    const char* at = static_cast<const char*>(data);
    while (bytes > 0) {
        const ssize_t n = ::write(fd_, at, bytes);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) disk_error(path_, "write");
        at += n;
        bytes -= size_t(n);
    }
}

void OutputFile::write_at(const void* data, size_t bytes, size_t offset) {
    if (pwrite(fd_, data, bytes, off_t(offset)) != ssize_t(bytes)) disk_error(path_, "write");
}

void OutputFile::close() {
    if (fsync(fd_) != 0) disk_error(path_, "sync");
    const int fd = fd_;
    fd_ = -1;
    if (::close(fd) != 0) disk_error(path_, "close");
}

InputFile::InputFile(const std::filesystem::path& path, int exit_code, Links links) : path_(path), code_(exit_code) {
    struct stat info;
    const bool follow = links == Links::follow;
    if ((follow ? stat(path.c_str(), &info) : lstat(path.c_str(), &info)) != 0)
        fail(Exit(code_), path.string() + ": " + why_not(path, errno));
    if (!S_ISREG(info.st_mode)) fail(Exit(code_), path.string() + ": not a regular file");
    fd_ = open(path.c_str(), O_RDONLY | O_CLOEXEC | (follow ? 0 : O_NOFOLLOW));
    if (fd_ < 0 || fstat(fd_, &info) != 0) fail(Exit(code_), path.string() + ": " + std::strerror(errno));
    size_ = size_t(info.st_size);
}

InputFile::~InputFile() {
    if (fd_ >= 0) ::close(fd_);
}

void InputFile::read(void* data, size_t bytes, size_t offset) const {
    char* at = static_cast<char*>(data);
    while (bytes > 0) {
        const ssize_t n = pread(fd_, at, bytes, off_t(offset));
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) fail(Exit(code_), path_.string() + ": cannot read: " + std::strerror(errno));
        if (n == 0) fail(Exit(code_), path_.string() + ": ends at byte " + std::to_string(offset) + ", too early");
        at += n;
        offset += size_t(n);
        bytes -= size_t(n);
    }
}

std::string read_file(const std::filesystem::path& path, int exit_code, size_t most_bytes, Links links) {
    const InputFile file(path, exit_code, links);
    if (file.size() > most_bytes)
        fail(Exit(exit_code), path.string() + ": " + std::to_string(file.size()) + " bytes, at most " +
                                  std::to_string(most_bytes) + " are read");
    std::string text(file.size(), '\0');
    file.read(text.data(), text.size(), 0);
    return text;
}

void write_file(const std::filesystem::path& path, const std::string& text) {
    const std::filesystem::path temporary = path.string() + ".tmp";
    try {
        OutputFile file(temporary);
        file.write(text.data(), text.size());
        file.close();
    } catch (const Failure&) {
        std::remove(temporary.c_str());
        throw;
    }
    rename_path(temporary, path);
    sync_folder(path.has_parent_path() ? path.parent_path() : ".");
}

void make_folders(const std::filesystem::path& path) {
    std::error_code error;
    std::filesystem::create_directories(path, error);
    if (error || !is_folder(path))
        fail(Exit::disk,
             path.string() + ": cannot create the folder: " + (error ? error.message() : "a file is there"));
}

void sync_folder(const std::filesystem::path& path) {
    const int fd = open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || fsync(fd) != 0) {
        if (fd >= 0) ::close(fd);
        disk_error(path, "sync");
    }
    ::close(fd);
}

void rename_path(const std::filesystem::path& from, const std::filesystem::path& to) {
    if (std::rename(from.c_str(), to.c_str()) != 0) disk_error(to, "rename to");
}

void remove_tree(const std::filesystem::path& path) {
    std::error_code error;
    std::filesystem::remove_all(path, error);
    if (error) fail(Exit::disk, path.string() + ": cannot remove: " + error.message());
}

}  // namespace sluice
