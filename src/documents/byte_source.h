// Streams the bytes of an input: a file, a pipe or a device. Content (not names) that is gzip or zstd is decompressed,
// several members or frames in a row included.
#pragma once
#include <cstdint>
#include <memory>
#include <stdexcept>
#include <string>

namespace sluice {

// Whether a path can perhaps be read only once: a pipe, a socket, a terminal. "-" is standard input.
bool is_stream(const std::string& path);
// The path as messages name it: "standard input" for "-".
std::string shown_name(const std::string& path);

// An input that is empty or no text, or compressed data that are truncated or corrupt. The message says what is wrong
// and at which byte. Bytes that were read before are good.
struct DamagedInput : std::runtime_error {
    using std::runtime_error::runtime_error;
};

// Errors: Failure(Exit::data), naming the file, where it cannot be opened or read; DamagedInput.
class ByteSource {
 public:
    explicit ByteSource(const std::string& path);
    ByteSource(ByteSource&&) noexcept;
    ~ByteSource();
    bool read(std::string& bytes);  // appends some bytes; false at the end; damage is thrown again at every call
    bool compressed() const;
    int64_t stored_read() const;  // bytes consumed of the input as it is stored

 private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace sluice
