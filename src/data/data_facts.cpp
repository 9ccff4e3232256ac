#include "data/data_facts.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/check.h"
#include "data/data.h"
#include "data/data_report.h"
#include "data/shard_set.h"
#include "data/token_shard.h"

namespace sluice {
namespace {

DataFacts::Vocab vocab_of(const DataSpec& data) {
    std::vector<std::string> paths;
    for (const DataSource& source : data.train) paths.push_back(source.path);
    for (const ValidationSet& set : data.validation) paths.push_back(set.path);
    DataFacts::Vocab vocab;
    ShardSets sets;
    for (const std::string& path : paths)
        for (const auto& file : shard_files(path)) {
            const ShardSet* set = sets.of(file);
            if (!set) return {0, file.string()};
            vocab.size = std::max(vocab.size, set->vocab);
        }
    return vocab;
}

int64_t samples_of(const DataSpec& data) {
    int64_t all = 0;
    ShardSets sets;
    for (const DataSource& source : data.train) {
        const auto files = shard_files(source.path);
        int64_t samples = 0;
        for (const auto& file : files) {
            const ShardSet* set = sets.of(file);
            samples += samples_in(set ? set->find(file)->tokens : TokenShard(file).size(), data.sequence_length);
        }
        if (samples == 0) {
            const std::vector<TokenShard> shards(files.begin(), files.end());
            fail(Exit::data, source.path + ": " + too_short_for_a_sample(shards, data.sequence_length));
        }
        all += samples;
    }
    return all;
}

}  // namespace

DataFacts facts_of_shards() { return {vocab_of, samples_of}; }

double epochs_of(const Config& config, int64_t samples) {
    return samples > 0 ? double(config.train.steps) * double(config.train.batch) / double(samples) : 0;
}

std::string format_epochs(double epochs) {
    const char* digits = epochs < 0.995 ? "{:.2g}" : epochs < 1000 ? "{:.3g}" : "{:.0f}";
    const std::string text = fmt::format(fmt::runtime(digits), epochs);
    return text + (text == "1" ? " epoch" : " epochs");
}

}  // namespace sluice
