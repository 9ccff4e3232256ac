// The bytes of an input, streamed: a file, a pipe or a device, decompressed where its content, not its name, is gzip or
// zstd (members and frames may follow each other).
#pragma once
#include <cstdint>
#include <memory>
#include <stdexcept>
#include <string>

namespace sluice {

// Standard input is "-". What may be read only once: a pipe, a socket, a terminal.
bool is_stream(const std::string& path);
// "-" is "standard input" in messages.
std::string shown_name(const std::string& path);

// An input that holds nothing, or compressed data that are cut off or wrong: what, and at which byte of the file. What
// was read before is good.
struct DamagedInput : std::runtime_error {
    using std::runtime_error::runtime_error;
};

// Errors: Failure(Exit::data), naming the file, where it cannot be opened or read; DamagedInput.
class ByteSource {
 public:
    explicit ByteSource(const std::string& path);
    ByteSource(ByteSource&&) noexcept;
    ~ByteSource();
    bool read(std::string& bytes);  // appends some; false at the end; damage is told again at every call
    bool compressed() const;
    int64_t stored_read() const;  // bytes of the input, as they are stored

 private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace sluice
