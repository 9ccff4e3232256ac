// Formats that are not text, recognised by their first bytes.
#include <algorithm>
#include <array>

#include "documents/content.h"

namespace sluice {
namespace {

using namespace std::string_view_literals;

struct Magic {
    size_t offset;
    std::string_view bytes;
    const char* what;
    bool letters = false;  // text may begin like this: counts only if the head holds control characters
};

constexpr auto kMagics = std::to_array<Magic>({
    {0, "\x1f\x8b"sv, "gzip data that were compressed twice: decompress them once"},
    {0, "\x28\xb5\x2f\xfd"sv, "zstd data that were compressed twice: decompress them once"},
    {0, "BZh"sv, "bzip2 data: pipe in what `bzip2 -dc` gives", true},
    {0,
     "\xfd"
     "7zXZ\0"sv,
     "xz data: pipe in what `xz -dc` gives"},
    {0, "\x5d\0\0"sv, "lzma data: pipe in what `xz -dc` gives"},
    {0, "\x04\x22\x4d\x18"sv, "lz4 data: pipe in what `lz4 -dc` gives"},
    {0, "\x02\x21\x4c\x18"sv, "lz4 data: pipe in what `lz4 -dc` gives"},
    {0, "\xff\x06\0\0sNaPpY"sv, "snappy data: decompress them"},
    {0, "\x1f\x9d"sv, "data of compress (.Z): pipe in what `zcat` gives"},
    {0, "LZIP\x01"sv, "lzip data: pipe in what `lzip -dc` gives"},
    {0, "PK\x03\x04"sv, "a ZIP archive (also .docx, .xlsx, .epub, .jar, .pt): extract the text"},
    {0, "PK\x05\x06"sv, "a ZIP archive without files"},
    {0, "PK\x07\x08"sv, "a ZIP archive of several parts: extract the text"},
    {0, "7z\xbc\xaf\x27\x1c"sv, "a 7-Zip archive: extract the text"},
    {0, "Rar!\x1a\x07"sv, "a RAR archive: extract the text"},
    {257, "ustar"sv, "a tar archive: extract its files"},
    {0, "!<arch>\n"sv, "an ar archive or library"},
    {0, "PAR1"sv, "a Parquet file: write its texts as JSON lines", true},
    {0, "PARE"sv, "an encrypted Parquet file", true},
    {0, "ARROW1\0\0"sv, "an Arrow file: write its texts as JSON lines"},
    {0, "\xff\xff\xff\xff"sv, "an Arrow stream: write its texts as JSON lines"},
    {0, "FEA1"sv, "a Feather file: write its texts as JSON lines", true},
    {0, "Obj\x01"sv, "an Avro file: write its texts as JSON lines"},
    {0, "ORC"sv, "an ORC file: write its texts as JSON lines", true},
    {0, "\x89HDF\r\n\x1a\n"sv, "an HDF5 file"},
    {0, "\x93NUMPY"sv, "a NumPy array"},
    {0, "SQLite format 3\0"sv, "an SQLite database: write its texts as JSON lines"},
    {0, "GGUF"sv, "a GGUF model", true},
    {0, "%PDF-"sv, "a PDF document: extract its text"},
    {0, "\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"sv, "an old Microsoft Office document: extract its text"},
    {0, "WARC/"sv, "a WARC file: extract its texts as JSON lines"},
    {0,
     "\x7f"
     "ELF"sv,
     "an executable or library (ELF)"},
    {0, "MZ"sv, "an executable (Windows)", true},
    {0, "\xcf\xfa\xed\xfe"sv, "an executable (Mach-O)"},
    {0, "\xca\xfe\xba\xbe"sv, "Java bytecode, or an executable (Mach-O)"},
    {0, "\0asm"sv, "WebAssembly"},
    {0, "\x89PNG\r\n\x1a\n"sv, "a PNG image"},
    {0, "\xff\xd8\xff"sv, "a JPEG image"},
    {0, "GIF8"sv, "a GIF image", true},
    {0, "BM"sv, "a BMP image", true},
    {0, "II*\0"sv, "a TIFF image"},
    {0, "MM\0*"sv, "a TIFF image"},
    {8, "WEBP"sv, "a WebP image", true},
    {0, "RIFF"sv, "a RIFF file (WAV, AVI)", true},
    {0, "OggS"sv, "an Ogg file", true},
    {0, "fLaC"sv, "FLAC audio", true},
    {0, "ID3"sv, "MP3 audio", true},
    {4, "ftyp"sv, "an MP4 video", true},
    {0, "\x1a\x45\xdf\xa3"sv, "a Matroska or WebM video"},
    {0, "MMIDIDX\0\0"sv, "Megatron's index of token ids: they are trained on as they are"},
    {0, "SLUICEDC"sv, "an index of documents beside token shards", true},
    {0, "\x88\xd8\x34\x01"sv, "a token shard: it is trained on as it is"},
    {0, "\xa1\xd9\x34\x01"sv, "a token shard: it is trained on as it is"},
    {0, "\xff\xfe\0\0"sv, "UTF-32 text: pipe in what `iconv -f UTF-32 -t UTF-8` gives"},
    {0, "\0\0\xfe\xff"sv, "UTF-32 text: pipe in what `iconv -f UTF-32 -t UTF-8` gives"},
    {0, "\xff\xfe"sv, "UTF-16 text: pipe in what `iconv -f UTF-16 -t UTF-8` gives"},
    {0, "\xfe\xff"sv, "UTF-16 text: pipe in what `iconv -f UTF-16 -t UTF-8` gives"},
});

// A control character that text does not hold. Excepted are those that move the position, break a line or a page, or
// begin an escape of a terminal.
bool is_control(char c) {
    return (c >= '\0' && c < '\b') || c == '\x0e' || c == '\x0f' || (c >= '\x10' && c < ' ' && c != '\x1b');
}

// UTF-16 without a byte order mark: in Latin text nearly every high byte is NUL, and no low byte is.
std::string utf16_without_mark(std::string_view head) {
    std::array<size_t, 2> nulls{};
    const size_t n = std::min<size_t>(head.size(), 4096) & ~size_t{1};
    for (size_t i = 0; i < n; i++) nulls[i % 2] += head[i] == '\0';
    const auto is_high = [&](size_t high) { return n >= 4 && nulls[high] * 10 > n / 2 * 7 && nulls[1 - high] == 0; };
    if (is_high(1)) return "UTF-16 text: pipe in what `iconv -f UTF-16LE -t UTF-8` gives";
    if (is_high(0)) return "UTF-16 text: pipe in what `iconv -f UTF-16BE -t UTF-8` gives";
    return "";
}

}  // namespace

std::string foreign_format(std::string_view head) {
    const bool binary = std::any_of(head.begin(), head.end(), is_control);
    for (const Magic& m : kMagics)
        if ((binary || !m.letters) && head.size() >= m.offset && head.substr(m.offset).starts_with(m.bytes))
            return m.what;
    return utf16_without_mark(head);
}

}  // namespace sluice
