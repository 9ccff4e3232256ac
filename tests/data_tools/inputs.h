// Inputs of every kind, and what is read of them.
#pragma once
#include <gtest/gtest.h>
#include <zlib.h>
#include <zstd.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "base/check.h"
#include "documents/documents.h"

namespace sluice {

using namespace std::string_literals;

inline std::string gzip(const std::string& text) {
    z_stream z = {};
    EXPECT_EQ(deflateInit2(&z, 6, Z_DEFLATED, MAX_WBITS + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
    std::string out(deflateBound(&z, text.size()), '\0');
    z.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
    z.avail_in = uInt(text.size());
    z.next_out = reinterpret_cast<Bytef*>(out.data());
    z.avail_out = uInt(out.size());
    EXPECT_EQ(deflate(&z, Z_FINISH), Z_STREAM_END);
    out.resize(z.total_out);
    deflateEnd(&z);
    return out;
}
inline std::string zstd(const std::string& text) {
    std::string out(ZSTD_compressBound(text.size()), '\0');
    out.resize(ZSTD_compress(out.data(), out.size(), text.data(), text.size(), 3));
    return out;
}
inline std::string write(const std::filesystem::path& path, const std::string& bytes) {
    std::ofstream(path, std::ios::binary) << bytes;
    return path.string();
}

// The texts of all documents, and "error: ..." for those that cannot be read.
inline std::vector<std::string> texts(const std::vector<std::string>& files, Format format = Format::automatic,
                                      size_t longest = DocumentReader::kLongestLine) {
    std::vector<std::string> all;
    DocumentReader reader(files, format, longest);
    for (std::vector<RawDocument> batch; reader.next(batch, 1 << 16);)
        for (const RawDocument& document : batch) try {
                const std::string text = text_of(document, "text");
                if (document.continues)
                    all.back() += text;
                else
                    all.push_back(text);
            } catch (const Failure& f) {
                EXPECT_EQ(f.code(), Exit::data);
                all.push_back("error: "s + f.what());
            }
    return all;
}
// Why a file is refused before anything is read; empty: it is not.
inline std::string refusal(const std::string& file, Format format = Format::automatic) {
    try {
        refuse_no_text({file}, format, false);
    } catch (const Failure& f) {
        EXPECT_EQ(f.code(), Exit::data);
        EXPECT_EQ(std::string(f.what()).find(file + ": "), 0u) << f.what();
        return f.what();
    }
    return "";
}
inline std::string long_text(size_t bytes) {  // that hardly compresses
    std::string text;
    for (uint64_t i = 1; text.size() < bytes; i++) text += std::to_string(i * i * 2654435761u % 1000003) + "\n";
    return text;
}

inline const std::string kTwo = "{\"text\": \"a\"}\n{\"text\": \"b\"}\n";

}  // namespace sluice
