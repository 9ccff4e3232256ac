// safetensors: 8 bytes of header length, a JSON header, the tensors without gaps. The reader checks every rule of the
// format. Errors: Failure(Exit::checkpoint) when reading, Failure(Exit::disk) when writing.
#pragma once
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "base/file.h"

namespace sluice {

size_t dtype_bytes(const std::string& dtype);  // bytes of an element; 0: unknown, or not a whole number of bytes

// A tensor, or a piece of one, to be written. data() is called once, when its turn has come; what it returns is read
// before the next one's is called.
struct TensorData {
    std::string name, dtype;
    std::vector<int64_t> shape;
    std::function<const void*()> data;
    size_t bytes;
};

struct FileSummary {
    int64_t size = 0;
    std::string hash;  // of the whole file
};
FileSummary write_safetensors(const std::filesystem::path& path, const std::vector<TensorData>& tensors,
                              const std::map<std::string, std::string>& metadata = {});

class SafetensorsFile {
 public:
    struct Entry {
        std::string dtype;
        std::vector<int64_t> shape;
        size_t begin, bytes;  // in the file
    };
    explicit SafetensorsFile(const std::filesystem::path& path);
    const std::map<std::string, Entry>& tensors() const { return tensors_; }
    const std::map<std::string, std::string>& metadata() const { return metadata_; }
    const Entry& at(const std::string& name) const;
    // Reads `bytes` bytes of a tensor, from byte `offset` of it on.
    void read(const Entry& entry, void* data, size_t bytes, size_t offset = 0) const;

 private:
    void parse(const std::string& header, size_t data_start);
    InputFile file_;
    std::map<std::string, Entry> tensors_;
    std::map<std::string, std::string> metadata_;
};

}  // namespace sluice
