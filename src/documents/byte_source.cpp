#include "documents/byte_source.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <string_view>
#include <vector>

#include "base/check.h"

namespace sluice {
namespace {

constexpr size_t kBlock = size_t{1} << 17;  // bytes
constexpr int kLargestWindow = 31;          // log2 of bytes: what `zstd --long=31` writes

// Reads an input as it is stored, a block at a time.
class Stored {
 public:
    explicit Stored(const std::string& path) : name_(shown_name(path)), block_(kBlock) {
        fd_ = path == "-" ? fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 0) : open(path.c_str(), O_RDONLY | O_CLOEXEC);
        if (fd_ < 0) fail(Exit::data, name_ + ": " + std::strerror(errno));
    }
    Stored(const Stored&) = delete;
    Stored& operator=(const Stored&) = delete;
    ~Stored() { close(fd_); }

    // Bytes that were read and not yet taken. Reads the next block if there are none; empty at the end of the input.
    std::string_view peek() {
        if (at_ == end_) fill();
        return {block_.data() + at_, end_ - at_};
    }
    void take(size_t bytes) { at_ += bytes; }
    // At least `bytes` of them, unless the input is shorter.
    std::string_view peek(size_t bytes) {
        while (end_ - at_ < bytes && fill()) {}
        return {block_.data() + at_, end_ - at_};
    }
    int64_t offset() const { return read_ - int64_t(end_ - at_); }  // of the first byte that peek() returns
    [[noreturn]] void damaged(const std::string& why) const {
        throw DamagedInput(why + " at byte " + std::to_string(offset()));
    }

 private:
    bool fill() {
        if (at_ > 0) std::memmove(block_.data(), block_.data() + at_, end_ - at_);
        end_ -= at_;
        at_ = 0;
        ssize_t n = -1;
        do n = ::read(fd_, block_.data() + end_, block_.size() - end_);
        while (n < 0 && errno == EINTR);
        if (n < 0) fail(Exit::data, name_ + ": cannot read: " + std::strerror(errno));
        end_ += size_t(n);
        read_ += n;
        return n > 0;
    }

    std::string name_;
    std::vector<char> block_;
    size_t at_ = 0, end_ = 0;
    int64_t read_ = 0;
    int fd_ = -1;
};

class Decoder {
 public:
    virtual ~Decoder() = default;
    virtual bool read(Stored& in, std::string& bytes) = 0;  // appends decoded bytes; false at the end
    virtual bool compressed() const { return true; }
};

class Plain : public Decoder {
 public:
    bool compressed() const override { return false; }
    bool read(Stored& in, std::string& bytes) override {
        const std::string_view block = in.peek();
        bytes.append(block);
        in.take(block.size());
        return !block.empty();
    }
};

class Gzip : public Decoder {
 public:
    Gzip() {
        constexpr int kGzipOnly = 16;
        check(inflateInit2(&stream_, MAX_WBITS + kGzipOnly) == Z_OK, "zlib cannot begin");
    }
    Gzip(const Gzip&) = delete;
    Gzip& operator=(const Gzip&) = delete;
    ~Gzip() override { inflateEnd(&stream_); }

    bool read(Stored& in, std::string& bytes) override {
        if (ended_ && !next_member(in)) return false;
        const std::string_view block = in.peek();  // empty at the end: the library returns what it buffers
        const size_t before = bytes.size();
        bytes.resize(before + kBlock);
        stream_.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(block.data()));
        stream_.avail_in = uInt(block.size());
        stream_.next_out = reinterpret_cast<Bytef*>(bytes.data() + before);
        stream_.avail_out = uInt(kBlock);
        const int status = inflate(&stream_, Z_NO_FLUSH);
        in.take(block.size() - stream_.avail_in);
        bytes.resize(before + kBlock - stream_.avail_out);
        if (status != Z_OK && status != Z_STREAM_END && status != Z_BUF_ERROR)
            in.damaged(std::string("is damaged: its gzip data are wrong (") +
                       (stream_.msg ? stream_.msg : zError(status)) + ")");
        ended_ = status == Z_STREAM_END;
        if (block.empty() && !ended_ && bytes.size() == before) in.damaged("is cut off: its gzip data end too early,");
        return true;
    }

 private:
    // Whether another member follows. After the last one there may be zeros, as they fill the last block of a tape.
    bool next_member(Stored& in) {
        for (std::string_view rest = in.peek(2); !rest.empty(); rest = in.peek(2)) {
            if (rest[0] != '\0') {
                if (!rest.starts_with("\x1f\x8b")) in.damaged("is damaged: what is no gzip follows its gzip data");
                inflateReset(&stream_);
                return true;
            }
            in.take(1);
        }
        return false;
    }

    z_stream stream_ = {};
    bool ended_ = false;  // the member has ended
};

class Zstd : public Decoder {
 public:
    Zstd() : stream_(ZSTD_createDStream()) {
        ZSTD_DCtx_setParameter(stream_.get(), ZSTD_d_windowLogMax, kLargestWindow);
    }
    bool read(Stored& in, std::string& bytes) override {
        const std::string_view block = in.peek();  // empty at the end: the library returns what it buffers
        if (block.empty() && ended_) return false;
        const size_t before = bytes.size();
        bytes.resize(before + kBlock);
        ZSTD_inBuffer from{block.data(), block.size(), 0};
        ZSTD_outBuffer to{bytes.data() + before, kBlock, 0};
        const size_t left = ZSTD_decompressStream(stream_.get(), &to, &from);
        in.take(from.pos);
        bytes.resize(before + to.pos);
        if (ZSTD_isError(left))
            in.damaged(std::string("is damaged: its zstd data are wrong (") + ZSTD_getErrorName(left) + ")");
        ended_ = left == 0;
        if (block.empty() && !ended_ && to.pos == 0) in.damaged("is cut off: its zstd data end too early,");
        return true;
    }

 private:
    struct Free {
        void operator()(ZSTD_DStream* stream) const { ZSTD_freeDStream(stream); }
    };
    std::unique_ptr<ZSTD_DStream, Free> stream_;
    bool ended_ = true;  // the frame has ended
};

// By the first bytes of the input.
std::unique_ptr<Decoder> decoder_of(std::string_view head) {
    if (head.starts_with("\x1f\x8b")) return std::make_unique<Gzip>();
    const auto* byte = reinterpret_cast<const unsigned char*>(head.data());
    const bool skippable = head.size() >= 4 && (byte[0] & 0xf0) == 0x50 && head.substr(1, 3) == "\x2a\x4d\x18";
    if (skippable || head.starts_with("\x28\xb5\x2f\xfd")) return std::make_unique<Zstd>();
    return std::make_unique<Plain>();
}

}  // namespace

struct ByteSource::Impl {
    Stored stored;
    std::unique_ptr<Decoder> decoder;
    std::string damage;
    explicit Impl(const std::string& path) : stored(path), decoder(decoder_of(stored.peek(4))) {}
};

ByteSource::ByteSource(const std::string& path) : impl_(std::make_unique<Impl>(path)) {}
ByteSource::ByteSource(ByteSource&&) noexcept = default;
ByteSource::~ByteSource() = default;

bool ByteSource::read(std::string& bytes) try {
    if (!impl_->damage.empty()) throw DamagedInput(impl_->damage);
    return impl_->decoder->read(impl_->stored, bytes);
} catch (const DamagedInput& e) {
    impl_->damage = e.what();
    throw;
}
bool ByteSource::compressed() const { return impl_->decoder->compressed(); }
int64_t ByteSource::stored_read() const { return impl_->stored.offset(); }

bool is_stream(const std::string& path) {
    std::error_code ignored;
    return path == "-" || !std::filesystem::is_regular_file(path, ignored);
}
std::string shown_name(const std::string& path) { return path == "-" ? "standard input" : path; }

}  // namespace sluice
