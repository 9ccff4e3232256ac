#include "train/data.h"

#include <algorithm>
#include <set>

#include "base/check.h"
#include "base/permutation.h"
#include "base/rng.h"

namespace sluice {
namespace {

namespace fs = std::filesystem;

// Shards with a running total, so that position p of the whole is found by bisection.
struct ShardList {
    std::vector<TokenShard> shards;
    std::vector<int64_t> ends;  // of samples, or tokens

    size_t find(int64_t position) const {
        return size_t(std::upper_bound(ends.begin(), ends.end(), position) - ends.begin());
    }
    int64_t start(size_t i) const { return i == 0 ? 0 : ends[i - 1]; }
    int64_t total() const { return ends.empty() ? 0 : ends.back(); }
};

template <class Size>
ShardList open_shards(const std::string& path, Size size) {
    ShardList list;
    for (const auto& file : shard_files(path)) {
        list.shards.emplace_back(file);
        list.ends.push_back(list.total() + size(list.shards.back()));
    }
    return list;
}

// floor(n share / 2^64).
int64_t part(int64_t n, uint64_t share) { return int64_t((unsigned __int128)(n)*share >> 64); }

}  // namespace

// ---------------------------------------------------------------- training
struct TrainingData::Impl {
    int64_t length, vocab;
    uint64_t seed;
    std::vector<ShardList> sources;
    std::vector<uint64_t> shares;  // of source i in what sources before it left, in 2^-64

    // Sample n goes to source i or to those after it: exact shares, in order, without state.
    std::pair<size_t, int64_t> place(int64_t n) const {
        for (size_t i = 0; i + 1 < sources.size(); i++) {
            const int64_t before = part(n, shares[i]);
            if (part(n + 1, shares[i]) > before) return {i, before};
            n -= before;
        }
        return {sources.size() - 1, n};
    }
};

TrainingData::TrainingData(const DataSpec& spec, int64_t vocab, int64_t seed)
    : impl_(std::make_unique<Impl>(Impl{spec.sequence_length, vocab, uint64_t(seed), {}, {}})) {
    double left = 0;
    for (const DataSource& source : spec.train) left += source.weight;
    for (const DataSource& source : spec.train) {
        impl_->sources.push_back(open_shards(source.path, [&](const TokenShard& s) {
            return std::max<int64_t>(0, (s.size() - 1) / spec.sequence_length);
        }));
        if (impl_->sources.back().total() == 0)
            fail(Exit::data, source.path + ": no shard has the " + std::to_string(spec.sequence_length + 1) +
                                 " tokens of one sample (data.sequence_length + 1)");
        impl_->shares.push_back(uint64_t(std::min(source.weight / left, 1 - 0x1p-53) * 0x1p64));
        left -= source.weight;
    }
}
TrainingData::~TrainingData() = default;

void TrainingData::sample(int64_t n, int32_t* tokens) {
    const auto [source, k] = impl_->place(n);
    const ShardList& list = impl_->sources[source];
    const int64_t epoch = k / list.total();
    const uint64_t key = mix(mix(impl_->seed, 0x64617461 + source), uint64_t(epoch));
    const int64_t index = int64_t(permute(key, uint64_t(list.total()), uint64_t(k % list.total())));
    const size_t shard = list.find(index);
    list.shards[shard].read((index - list.start(shard)) * impl_->length, impl_->length + 1, tokens, impl_->vocab);
}

int64_t TrainingData::samples_per_epoch(size_t source) const { return impl_->sources[source].total(); }

int64_t TrainingData::tokens() const {
    int64_t tokens = 0;
    for (const auto& list : impl_->sources)
        for (const auto& shard : list.shards) tokens += shard.size();
    return tokens;
}

size_t TrainingData::shards() const {
    size_t shards = 0;
    for (const auto& list : impl_->sources) shards += list.shards.size();
    return shards;
}

// ---------------------------------------------------------------- validation
struct ValidationData::Impl {
    ShardList list;
    int64_t vocab;
    std::optional<int64_t> text_bytes;
};

ValidationData::ValidationData(const ValidationSet& set, int64_t vocab)
    : impl_(
          std::make_unique<Impl>(Impl{open_shards(set.path, [](const TokenShard& s) { return s.size(); }), vocab, 0})) {
    if (impl_->list.total() < 2) fail(Exit::data, set.path + ": a validation set needs at least 2 tokens");
    for (const TokenShard& shard : impl_->list.shards) {
        const ShardNotes notes = read_notes(shard.path().parent_path());
        const auto bytes = notes.text_bytes.find(shard.path().filename().string());
        if (bytes == notes.text_bytes.end())
            impl_->text_bytes.reset();
        else if (impl_->text_bytes)
            *impl_->text_bytes += bytes->second;
    }
}
ValidationData::ValidationData(ValidationData&&) noexcept = default;
ValidationData::~ValidationData() = default;

int64_t ValidationData::tokens() const { return impl_->list.total(); }
std::optional<int64_t> ValidationData::text_bytes() const { return impl_->text_bytes; }

void ValidationData::read(int64_t start, int64_t count, int32_t* tokens) {
    const ShardList& list = impl_->list;
    while (count > 0) {
        const size_t shard = list.find(start);
        const int64_t n = std::min(count, list.ends[shard] - start);
        list.shards[shard].read(start - list.start(shard), n, tokens, impl_->vocab);
        start += n;
        tokens += n;
        count -= n;
    }
}

// ---------------------------------------------------------------- documents and notes
void document_starts(int32_t* first, const int32_t* tokens, int64_t count, int64_t delimiter) {
    int32_t start = 0;
    for (int64_t t = 0; t < count; t++) {
        if (tokens[t] == delimiter) start = int32_t(t);
        first[t] = start;
    }
}

ShardNotes notes_of(const DataSpec& spec) {
    ShardNotes all;
    std::string from;
    std::set<fs::path> folders;
    for (const DataSource& source : spec.train)
        for (const auto& file : shard_files(source.path)) {
            if (!folders.insert(file.parent_path()).second) continue;
            const ShardNotes notes = read_notes(file.parent_path());
            if (notes.tokenizer.empty()) continue;
            const bool same = notes.delimiter == all.delimiter && notes.vocab == all.vocab;
            if (!from.empty() && !same) fail(Exit::data, file.string() + ": made with another tokenizer than " + from);
            if (from.empty()) all = notes;
            from = file.string();
        }
    all.text_bytes.clear();
    if (!spec.tokenizer.empty()) all.tokenizer = spec.tokenizer;
    if (spec.delimiter) all.delimiter = spec.delimiter;
    return all;
}

}  // namespace sluice
