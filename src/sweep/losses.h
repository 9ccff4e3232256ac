// The losses that a run has logged, read from its metrics.jsonl as that grows.
#pragma once
#include <cstdint>
#include <filesystem>
#include <limits>
#include <optional>

namespace sluice {

class Losses {
 public:
    struct Row {
        int64_t step = 0;
        double loss = std::numeric_limits<double>::quiet_NaN();  // nats a token; NaN where it was not finite
        double tokens_per_second = 0;
    };
    explicit Losses(std::filesystem::path metrics) : path_(std::move(metrics)) {}

    // Reads the whole lines that have come since; from the start where the file has become shorter. What cannot be read
    // is passed over.
    void read();
    const std::optional<Row>& first() const { return first_; }
    const std::optional<Row>& last() const { return last_; }
    // Whether the last loss is above the first one, or not finite. Above is by more than 1 %, as that of another batch
    // may be of a model that has learned nothing. False without losses.
    bool diverged() const;
    // How many rows, one after the other, have had a loss above the first one or not finite, at most.
    int64_t most_above_in_a_row() const { return most_above_; }

 private:
    bool above_first(double loss) const;

    std::filesystem::path path_;
    int64_t read_ = 0;  // bytes
    int64_t above_ = 0, most_above_ = 0;
    std::optional<Row> first_, last_;
};

}  // namespace sluice
