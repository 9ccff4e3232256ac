#include "sweep/losses.h"

#include <algorithm>
#include <fstream>
#include <string>

#include "base/json.h"

namespace sluice {

void Losses::read() {
    std::error_code error;
    const auto size = int64_t(std::filesystem::file_size(path_, error));
    if (error) return;
    if (size < read_) {
        read_ = above_ = most_above_ = 0;
        first_.reset();
        last_.reset();
    }
    std::ifstream in(path_, std::ios::binary);
    in.seekg(read_);
    for (std::string line; std::getline(in, line) && !in.eof();) {
        read_ += int64_t(line.size()) + 1;
        const Json row = json_or_null(line);
        if (!row.is_object() || !row.contains("step") || !row["step"].is_number_integer() || !row.contains("loss"))
            continue;
        Row now;
        now.step = row["step"].get<int64_t>();
        if (row["loss"].is_number()) now.loss = row["loss"].get<double>();
        if (row.contains("tokens_per_second") && row["tokens_per_second"].is_number())
            now.tokens_per_second = row["tokens_per_second"].get<double>();
        if (!first_) first_ = now;
        last_ = now;
        above_ = above_first(now.loss) ? above_ + 1 : 0;
        most_above_ = std::max(most_above_, above_);
    }
}

bool Losses::diverged() const {
    if (!last_ || last_->step == first_->step) return last_ && !(last_->loss == last_->loss);
    return above_first(last_->loss);
}

bool Losses::above_first(double loss) const {
    constexpr double kOfAnotherBatch = 1.01;
    return !(loss <= kOfAnotherBatch * first_->loss);
}

}  // namespace sluice
