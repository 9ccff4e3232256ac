#include "data/data_report.h"

#include <algorithm>
#include <cstdio>
#include <map>
#include <set>

namespace sluice {
namespace {

constexpr double kWarnAbove = 0.01;  // fraction of a source's tokens that are in no sample
constexpr const char* kRemedy =
    "make fewer, larger shards (sluice-data tokenize --shard-tokens), or lower data.sequence_length";

std::string percent(int64_t part, int64_t whole) {
    char text[32];
    std::snprintf(text, sizeof text, "%.3g%%", 100 * double(part) / double(std::max<int64_t>(1, whole)));
    return text;
}

std::string counted(size_t n, const char* what) { return std::to_string(n) + " " + what + (n == 1 ? "" : "s"); }

void report_source(const DataSource& source, const std::vector<TokenShard>& shards, int64_t length,
                   DataReport& report) {
    int64_t tokens = 0, unread = 0;
    size_t too_short = 0;
    for (const TokenShard& shard : shards) {
        tokens += shard.size();
        unread += tokens_in_no_sample(shard.size(), length);
        too_short += shard.size() <= length;
    }
    const std::string what = std::to_string(unread) + " of " + std::to_string(tokens) + " tokens (" +
                             percent(unread, tokens) + ") are in no sample";
    report.lines.push_back("train " + source.path + " | " + what);
    if (double(unread) <= kWarnAbove * double(tokens)) return;
    const std::string one = std::to_string(length + 1) + " tokens of one";
    const std::string why = too_short > 0 ? std::to_string(too_short) + " of " + counted(shards.size(), "shard") +
                                                " are shorter than the " + one + ", and others' ends do not fill one"
                                          : "a shard's end that does not fill the " + one + " is left out";
    report.warnings.push_back("data.train " + source.path + ": " + what + ": " + why + ": " + kRemedy);
}

// Evaluation reads across the ends of shards; only eval.batches leaves tokens out.
void report_set(const Config& config, const ValidationSet& set, const ValidationData& data, DataReport& report) {
    const int64_t tokens = data.tokens();
    const int64_t most = config.eval.batches * config.train.batch * config.data.sequence_length;
    const int64_t unread = most > 0 ? std::max<int64_t>(0, tokens - 1 - most) : 0;
    report.lines.push_back("validation " + set.name + " | " + std::to_string(unread) + " of " + std::to_string(tokens) +
                           " tokens (" + percent(unread, tokens) + ") are not evaluated" +
                           (unread > 0 ? ": eval.batches is " + std::to_string(config.eval.batches) : ""));
}

// ---------------------------------------------------------------- a validation set in the training data
// Whether two shards hold the same ids: equally many, and the same in blocks spread over the shard. This finds copies,
// other paths to a file, and the same ids in another format.
bool same_ids(const TokenShard& a, const TokenShard& b) {
    if (a.size() != b.size() || a.size() == 0) return false;
    constexpr int64_t kBlocks = 8, kBlockIds = 4096;
    const int64_t n = std::min(kBlockIds, a.size());
    std::vector<int32_t> x(static_cast<size_t>(n)), y(x.size());
    for (int64_t i = 0; i < kBlocks; i++) {
        const int64_t at = (a.size() - n) * i / (kBlocks - 1);
        a.read(at, n, x.data(), 0);
        b.read(at, n, y.data(), 0);
        if (x != y) return false;
    }
    return true;
}

void report_overlap(const Config& config, const TrainingData& training, const std::vector<ValidationData>& validation,
                    DataReport& report) {
    struct Trained {
        const TokenShard* shard;
        const std::string* source;
    };
    std::multimap<int64_t, Trained> by_size;
    for (size_t i = 0; i < config.data.train.size(); i++)
        for (const TokenShard& shard : training.shards_of(i))
            by_size.emplace(shard.size(), Trained{&shard, &config.data.train[i].path});
    for (size_t i = 0; i < validation.size(); i++) {
        size_t trained = 0;
        std::set<std::string> sources;
        for (const TokenShard& shard : validation[i].shards()) {
            const auto [from, to] = by_size.equal_range(shard.size());
            const auto it = std::find_if(from, to, [&](const auto& e) { return same_ids(shard, *e.second.shard); });
            if (it == to) continue;
            trained++;
            sources.insert(*it->second.source);
        }
        if (trained == 0) continue;
        std::string names;
        for (const std::string& source : sources) names += (names.empty() ? "" : ", ") + source;
        report.warnings.push_back("data.validation " + config.data.validation[i].name + ": " + std::to_string(trained) +
                                  " of its " + std::to_string(validation[i].shards().size()) +
                                  " shards are trained on too, by data.train " + names +
                                  ": its loss tells nothing of text that was not seen");
    }
}

}  // namespace

int64_t tokens_in_no_sample(int64_t shard_tokens, int64_t length) {
    const int64_t samples = std::max<int64_t>(0, (shard_tokens - 1) / length);
    return samples == 0 ? shard_tokens : shard_tokens - samples * length - 1;
}

std::string too_short_for_a_sample(const std::vector<TokenShard>& shards, int64_t length) {
    int64_t tokens = 0, longest = 0;
    for (const TokenShard& shard : shards) {
        tokens += shard.size();
        longest = std::max(longest, shard.size());
    }
    return "no shard has the " + std::to_string(length + 1) + " tokens of one sample (data.sequence_length + 1): its " +
           counted(shards.size(), "shard") + " hold " + std::to_string(tokens) + " tokens, at most " +
           std::to_string(longest) + " each: " + kRemedy;
}

DataReport report_data(const Config& config, const TrainingData& training,
                       const std::vector<ValidationData>& validation) {
    DataReport report;
    for (size_t i = 0; i < config.data.train.size(); i++)
        report_source(config.data.train[i], training.shards_of(i), config.data.sequence_length, report);
    for (size_t i = 0; i < validation.size(); i++) report_set(config, config.data.validation[i], validation[i], report);
    report_overlap(config, training, validation, report);
    return report;
}

}  // namespace sluice
