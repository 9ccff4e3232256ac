// TensorBoard's event files. A record is: length (u64), masked crc32c of it, an Event as protocol buffer, masked crc32c
// of that. No library in Debian writes them. A full disk causes a warning and does not end the run.
#pragma once
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <string>

#include "log/metrics.h"

namespace sluice {

uint32_t crc32c(const void* data, size_t bytes);
std::string event_record(double wall_time, int64_t step, const MetricsRow& row);  // without a row: the file's version
// A start whose first step is `step`: readers drop what they have from that step on.
std::string start_record(double wall_time, int64_t step);

class TensorBoard {
 public:
    // A new file events.out.tfevents.TIME.HOST.PID, which readers read after the existing ones.
    TensorBoard(const std::filesystem::path& folder, int64_t first_step);
    void append(int64_t step, const MetricsRow& row);  // all but `step` and `time`

 private:
    void write(const std::string& record);
    std::filesystem::path path_;
    std::unique_ptr<std::FILE, int (*)(std::FILE*)> file_;
    bool warned_ = false;
};

}  // namespace sluice
