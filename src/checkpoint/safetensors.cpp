#include "checkpoint/safetensors.h"

#include <algorithm>
#include <cstring>

#include "base/check.h"
#include "base/hash.h"
#include "base/json.h"

namespace sluice {
namespace {

constexpr size_t kLongestHeader = 100'000'000;
constexpr int64_t kLargestExtent = (int64_t{1} << 48) - 1;

constexpr std::pair<const char*, size_t> kTypes[] = {
    {"BOOL", 1}, {"U8", 1},  {"I8", 1},  {"F8_E5M2", 1}, {"F8_E4M3", 1}, {"I16", 2}, {"U16", 2}, {"F16", 2},
    {"BF16", 2}, {"I32", 4}, {"U32", 4}, {"F32", 4},     {"I64", 8},     {"U64", 8}, {"F64", 8}, {"C64", 8}};

SafetensorsFile::Entry parse_entry(const Json& value) {
    if (!value.is_object() || value.size() != 3)
        throw JsonError("needs dtype, shape and data_offsets, and nothing else");
    SafetensorsFile::Entry entry{to_text(member(value, "dtype"), "dtype"), {}, 0, 0};
    size_t bytes = dtype_bytes(entry.dtype);
    if (bytes == 0) throw JsonError("unknown dtype '" + entry.dtype + "'");
    const Json &shape = member(value, "shape"), &offsets = member(value, "data_offsets");
    if (!shape.is_array() || shape.size() > 16) throw JsonError("shape is not a list of up to 16 extents");
    for (const Json& extent : shape) {
        entry.shape.push_back(to_integer(extent, "shape"));
        if (entry.shape.back() > kLargestExtent || __builtin_mul_overflow(bytes, size_t(entry.shape.back()), &bytes))
            throw JsonError("shape is too large");
    }
    if (!offsets.is_array() || offsets.size() != 2) throw JsonError("data_offsets is not a pair");
    entry.begin = size_t(to_integer(offsets[0], "data_offsets"));
    const size_t end = size_t(to_integer(offsets[1], "data_offsets"));
    if (end < entry.begin || end - entry.begin != bytes) throw JsonError("data_offsets do not fit dtype and shape");
    entry.bytes = bytes;
    return entry;
}

}  // namespace

size_t dtype_bytes(const std::string& dtype) {
    for (const auto& [name, bytes] : kTypes)
        if (dtype == name) return bytes;
    return 0;
}

FileSummary write_safetensors(const std::filesystem::path& path, const std::vector<TensorData>& tensors,
                              const std::map<std::string, std::string>& metadata) {
    Json header = Json::object();
    if (!metadata.empty()) header["__metadata__"] = metadata;
    size_t at = 0;
    for (const TensorData& t : tensors) {
        header[t.name] = {{"dtype", t.dtype}, {"shape", t.shape}, {"data_offsets", {at, at + t.bytes}}};
        at += t.bytes;
    }
    std::string text = header.dump();
    text.resize((text.size() + 7) / 8 * 8, ' ');
    check(text.size() <= kLongestHeader, "a safetensors header longer than readers accept");

    OutputFile file(path);
    Hash hash;
    FileSummary summary;
    const auto put = [&](const void* data, size_t bytes) {
        file.write(data, bytes);
        hash.add(data, bytes);
        summary.size += int64_t(bytes);
    };
    const uint64_t length = text.size();
    put(&length, sizeof length);
    put(text.data(), text.size());
    for (const TensorData& t : tensors) put(t.data(), t.bytes);
    file.close();
    summary.hash = hash.hex();
    return summary;
}

SafetensorsFile::SafetensorsFile(const std::filesystem::path& path)
    : file_(path, int(Exit::checkpoint), Links::follow) {
    const auto refuse = [&](const std::string& why) { fail(Exit::checkpoint, path.string() + ": " + why); };
    uint64_t length = 0;
    if (file_.size() < sizeof length) refuse("too short for a safetensors header");
    file_.read(&length, sizeof length, 0);
    if (length > kLongestHeader || length > file_.size() - sizeof length)
        refuse("header length " + std::to_string(length) + " does not fit the file of " + std::to_string(file_.size()) +
               " bytes");
    std::string header(length, '\0');
    file_.read(header.data(), length, sizeof length);
    try {
        parse(header, sizeof length + length);
    } catch (const JsonError& e) { refuse(e.what()); }
}

void SafetensorsFile::parse(const std::string& header, size_t data_start) {
    const Json json = parse_json(header);
    if (!json.is_object()) throw JsonError("the header is not an object");
    for (const auto& [name, value] : json.items()) {
        if (name == "__metadata__") {
            if (!value.is_object()) throw JsonError("__metadata__ is not an object");
            for (const auto& [key, text] : value.items()) metadata_[key] = to_text(text, "__metadata__");
            continue;
        }
        if (std::any_of(name.begin(), name.end(), [](unsigned char c) { return c < 32 || c == 127; }))
            throw JsonError("a tensor's name has a control character");
        try {
            tensors_[name] = parse_entry(value);
        } catch (const JsonError& e) { throw JsonError("tensor '" + name + "': " + e.what()); }
    }
    std::vector<std::pair<size_t, std::string>> order;
    for (const auto& [name, entry] : tensors_) order.emplace_back(entry.begin, name);
    std::sort(order.begin(), order.end(), [&](const auto& a, const auto& b) {
        return std::pair(a.first, tensors_[a.second].bytes) < std::pair(b.first, tensors_[b.second].bytes);
    });
    size_t end = 0;
    for (const auto& [begin, name] : order) {
        Entry& entry = tensors_[name];
        if (begin != end)
            throw JsonError("tensor '" + name + "' begins at " + std::to_string(begin) + " instead of " +
                            std::to_string(end));
        end += entry.bytes;
        entry.begin += data_start;
    }
    if (end != file_.size() - data_start)
        throw JsonError("holds " + std::to_string(file_.size() - data_start) + " bytes of tensors, its header says " +
                        std::to_string(end));
}

const SafetensorsFile::Entry& SafetensorsFile::at(const std::string& name) const {
    const auto it = tensors_.find(name);
    if (it == tensors_.end()) fail(Exit::checkpoint, file_.path().string() + ": has no tensor '" + name + "'");
    return it->second;
}

void SafetensorsFile::read(const Entry& entry, void* data, size_t bytes, size_t offset) const {
    check(offset + bytes <= entry.bytes, "a read beyond a tensor");
    file_.read(data, bytes, entry.begin + offset);
}

}  // namespace sluice
