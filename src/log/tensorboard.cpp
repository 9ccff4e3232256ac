#include "log/tensorboard.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <cstring>

#include "base/clock.h"
#include "base/machine.h"
#include "cli/terminal.h"

namespace sluice {
namespace {

const std::string kPrefix = "events.out.tfevents.";

template <class T>
std::string raw(T x) {
    return {reinterpret_cast<const char*>(&x), sizeof x};
}

// Protocol buffers by hand: a tag is field number * 8 + wire type (0 varint, 1 eight bytes, 2 length and bytes, 5 four
// bytes).
std::string varint(uint64_t x) {
    std::string out;
    for (; x >= 0x80; x >>= 7) out += char(x | 0x80);
    return out + char(x);
}
std::string bytes_field(int number, const std::string& bytes) {
    return varint(uint64_t(number) * 8 + 2) + varint(bytes.size()) + bytes;
}

uint32_t masked(const std::string& data) {
    const uint32_t crc = crc32c(data.data(), data.size());
    return ((crc >> 15) | (crc << 17)) + 0xa282ead8u;
}

// Of Summary.Value: simple_value (2), or histo (5), whose fields are min, max, num, sum, sum_squares (1 to 5),
// bucket_limit and bucket (6, 7). A number of a bin counts as the bin's middle.
std::string value_of(double x) { return varint(2 * 8 + 5) + raw(float(x)); }
std::string value_of(int64_t x) { return value_of(double(x)); }
std::string value_of(const Histogram& h) {
    std::string limits, counts;
    double sum = 0, squares = 0;
    for (size_t i = 0; i < h.shares.size(); i++) {
        const double middle = h.low + h.width * (double(i) + 0.5), count = h.shares[i] * h.count;
        sum += count * middle;
        squares += count * middle * middle;
        limits += raw(h.low + h.width * double(i + 1));
        counts += raw(count);
    }
    const double all[] = {h.low, h.low + h.width * double(h.shares.size()), h.count, sum, squares};
    std::string histogram;
    for (int field = 1; field <= 5; field++) histogram += varint(uint64_t(field) * 8 + 1) + raw(all[field - 1]);
    return bytes_field(5, histogram + bytes_field(6, limits) + bytes_field(7, counts));
}

std::string event_of(double wall_time, int64_t step) {
    return varint(1 * 8 + 1) + raw(wall_time) + varint(2 * 8) + varint(uint64_t(step));
}
std::string framed(const std::string& event) {
    const std::string length = raw(uint64_t(event.size()));
    return length + raw(masked(length)) + event + raw(masked(event));
}

// The time in the file's name, in seconds. Readers read the files of a folder in the order of their names, so it is
// now, or later than those of the existing files where the clock is behind them or in the same second.
int64_t time_of_new_file(const std::filesystem::path& folder) {
    auto time = int64_t(wall_time());
    std::error_code ignored;
    for (const auto& entry : std::filesystem::directory_iterator(folder, ignored)) {
        const std::string name = entry.path().filename().string();
        if (name.rfind(kPrefix, 0) == 0)
            time = std::max(time, int64_t(std::strtoll(name.c_str() + kPrefix.size(), nullptr, 10)) + 1);
    }
    return time;
}

}  // namespace

uint32_t crc32c(const void* data, size_t bytes) {
    static const auto table = [] {
        std::array<uint32_t, 256> t{};
        for (uint32_t i = 0; i < 256; i++) {
            t[i] = i;
            for (int bit = 0; bit < 8; bit++) t[i] = (t[i] >> 1) ^ (t[i] & 1 ? 0x82f63b78u : 0);
        }
        return t;
    }();
    uint32_t crc = ~0u;
    for (size_t i = 0; i < bytes; i++)
        crc = (crc >> 8) ^ table[(crc ^ static_cast<const unsigned char*>(data)[i]) & 0xff];
    return ~crc;
}

std::string event_record(double wall_time, int64_t step, const MetricsRow& row) {
    std::string event = event_of(wall_time, step);
    if (row.empty()) event += bytes_field(3, "brain.Event:2");
    std::string summary;
    for (const auto& [key, value] : row) {
        if (key == "step" || key == "time") continue;
        summary += bytes_field(1, bytes_field(1, key) + std::visit([](const auto& v) { return value_of(v); }, value));
    }
    if (!summary.empty()) event += bytes_field(5, summary);
    return framed(event);
}

// Event.session_log (7), whose status (1) is START (1).
std::string start_record(double wall_time, int64_t step) {
    return framed(event_of(wall_time, step) + bytes_field(7, varint(1 * 8) + varint(1)));
}

TensorBoard::TensorBoard(const std::filesystem::path& folder, int64_t first_step) : file_(nullptr, std::fclose) {
    path_ = folder / fmt::format("{}{}.{}.{}", kPrefix, time_of_new_file(folder), host_name(), getpid());
    file_.reset(std::fopen(path_.c_str(), "ab"));
    write(event_record(wall_time(), 0, {}));
    write(start_record(wall_time(), first_step));
}

void TensorBoard::append(int64_t step, const MetricsRow& row) { write(event_record(wall_time(), step, row)); }

void TensorBoard::write(const std::string& record) {
    const bool good = file_ && std::fwrite(record.data(), 1, record.size(), file_.get()) == record.size() &&
                      std::fflush(file_.get()) == 0;
    if (!good && !warned_) print_warning(path_.string() + ": cannot write TensorBoard events: " + std::strerror(errno));
    warned_ |= !good;
}

}  // namespace sluice
