#include "data/data.h"

#include <algorithm>

#include "base/check.h"
#include "base/rng.h"
#include "data/blend.h"
#include "data/data_report.h"
#include "data/permutation.h"
#include "data/shard_set.h"

namespace sluice {
namespace {

namespace fs = std::filesystem;

// Shards with running totals of samples (training) or tokens (validation): bisection finds the shard of a position.
struct ShardList {
    std::vector<TokenShard> shards;
    std::vector<int64_t> ends;  // samples or tokens up to the end of each shard
    std::optional<int64_t> text_bytes = 0;

    size_t find(int64_t position) const {
        return size_t(std::upper_bound(ends.begin(), ends.end(), position) - ends.begin());
    }
    int64_t start(size_t i) const { return i == 0 ? 0 : ends[i - 1]; }
    int64_t total() const { return ends.empty() ? 0 : ends.back(); }
};

// A path that is a folder means every shard of the sets in it: a missing one is an error.
void refuse_missing(const std::string& folder, const ShardSet& set) {
    for (const ShardFacts& shard : set.shards)
        if (!fs::exists(fs::path(folder) / shard.file))
            fail(Exit::data,
                 (fs::path(folder) / shard.file).string() +
                     ": is not there, though its set lists it; to do without it, name the others by a glob");
}

// size(shard): its number of samples or tokens, for the running total.
template <class Size>
ShardList open_shards(const std::string& path, int64_t vocab, Size size) {
    ShardList list;
    ShardSets sets;
    const ShardSet* before = nullptr;
    for (const auto& file : shard_files(path)) {
        const TokenShard& shard = list.shards.emplace_back(file);
        list.ends.push_back(list.total() + size(shard));
        const ShardSet* set = sets.of(file);
        if (!set) {
            list.text_bytes.reset();
            continue;
        }
        if (set != before && fs::is_directory(path)) refuse_missing(path, *set);
        before = set;
        const ShardFacts& facts = *set->find(file);
        if (facts.tokens != shard.size())
            fail(Exit::data, file.string() + ": has " + std::to_string(shard.size()) + " tokens, its set says " +
                                 std::to_string(facts.tokens));
        if (facts.largest_id >= vocab)
            fail(Exit::data, file.string() + ": holds id " + std::to_string(facts.largest_id) +
                                 ", outside the vocabulary of " + std::to_string(vocab) + ": raise model.vocab to " +
                                 std::to_string(std::max(facts.largest_id + 1, set->vocab)));
        if (list.text_bytes) *list.text_bytes += facts.text_bytes;
    }
    return list;
}

// Where documents begin: as recorded beside the shard, else at each delimiter token.
class Documents {
 public:
    Documents(const DataSpec& spec) : needed_(spec.document_mask), delimiter_(spec.delimiter) {}

    void refuse_unknown(const ShardList& list) const {
        if (!needed_ || delimiter_) return;
        for (const TokenShard& shard : list.shards)
            if (!shard.knows_documents())
                fail(Exit::data, shard.path().string() +
                                     ": data.document_mask needs to know where documents begin, and nothing is "
                                     "recorded beside this shard: give data.delimiter");
    }
    // doc_start (count) of tokens [start, start + count) of a shard; tokens (count): their ids.
    void starts(const TokenShard& shard, int64_t start, int64_t count, const int32_t* tokens,
                int32_t* doc_start) const {
        if (shard.knows_documents())
            shard.document_starts(start, count, doc_start);
        else
            document_starts(doc_start, tokens, count, delimiter_.value_or(-1));
    }
    // Whether a document begins at a shard's first token. If not, the document of the shard before continues there.
    bool begins(const TokenShard& shard, int32_t first_token) const {
        return shard.knows_documents() ? shard.document(0).start == 0 : first_token == delimiter_;
    }

 private:
    bool needed_;
    std::optional<int64_t> delimiter_;
};

}  // namespace

// ---------------------------------------------------------------- training
struct TrainingData::Impl {
    int64_t length, vocab;
    uint64_t seed;
    Documents documents;
    Blend blend;
    std::vector<ShardList> sources;
};

namespace {

std::vector<double> weights_of(const DataSpec& spec) {
    std::vector<double> weights;
    for (const DataSource& source : spec.train) weights.push_back(source.weight);
    return weights;
}

}  // namespace

int64_t samples_in(int64_t tokens, int64_t sequence_length) { return tokens > 0 ? (tokens - 1) / sequence_length : 0; }

TrainingData::TrainingData(const DataSpec& spec, int64_t vocab, int64_t seed)
    : impl_(std::make_unique<Impl>(
          Impl{spec.sequence_length, vocab, uint64_t(seed), Documents(spec), Blend(weights_of(spec)), {}})) {
    for (const DataSource& source : spec.train) {
        impl_->sources.push_back(open_shards(
            source.path, vocab, [&](const TokenShard& s) { return samples_in(s.size(), spec.sequence_length); }));
        if (impl_->sources.back().total() == 0)
            fail(Exit::data,
                 source.path + ": " + too_short_for_a_sample(impl_->sources.back().shards, spec.sequence_length));
        impl_->documents.refuse_unknown(impl_->sources.back());
    }
}
TrainingData::~TrainingData() = default;

void TrainingData::sample(int64_t n, int32_t* tokens, int32_t* doc_start) {
    const auto [source, k] = impl_->blend.at(n);
    const ShardList& list = impl_->sources[source];
    const int64_t epoch = k / list.total();
    const uint64_t key = mix(mix(impl_->seed, 0x64617461 + source), uint64_t(epoch));
    const int64_t index = int64_t(permute(key, uint64_t(list.total()), uint64_t(k % list.total())));
    const size_t shard = list.find(index);
    const int64_t start = (index - list.start(shard)) * impl_->length;
    list.shards[shard].read(start, impl_->length + 1, tokens, impl_->vocab);
    if (doc_start) impl_->documents.starts(list.shards[shard], start, impl_->length, tokens, doc_start);
}

int64_t TrainingData::samples_per_epoch(size_t source) const { return impl_->sources[source].total(); }

int64_t TrainingData::samples() const {
    int64_t samples = 0;
    for (const auto& list : impl_->sources) samples += list.total();
    return samples;
}

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

const std::vector<TokenShard>& TrainingData::shards_of(size_t source) const { return impl_->sources[source].shards; }

// ---------------------------------------------------------------- validation
struct ValidationData::Impl {
    ShardList list;
    int64_t vocab;
    Documents documents;
};

ValidationData::ValidationData(const DataSpec& spec, const ValidationSet& set, int64_t vocab)
    : impl_(std::make_unique<Impl>(
          Impl{open_shards(set.path, vocab, [](const TokenShard& s) { return s.size(); }), vocab, Documents(spec)})) {
    if (impl_->list.total() < 2) fail(Exit::data, set.path + ": a validation set needs at least 2 tokens");
    impl_->documents.refuse_unknown(impl_->list);
}
ValidationData::ValidationData(ValidationData&&) noexcept = default;
ValidationData::~ValidationData() = default;

int64_t ValidationData::tokens() const { return impl_->list.total(); }
const std::vector<TokenShard>& ValidationData::shards() const { return impl_->list.shards; }
std::optional<int64_t> ValidationData::text_bytes() const { return impl_->list.text_bytes; }

void ValidationData::read(int64_t start, int64_t count, int32_t* tokens, int32_t* doc_start) {
    const ShardList& list = impl_->list;
    int32_t done = 0, began = 0;  // began: where the last document so far begins
    while (done < count) {
        const size_t shard = list.find(start + done);
        const int64_t at = start + done - list.start(shard);
        const auto n = int32_t(std::min(count - done, list.ends[shard] - start - done));
        list.shards[shard].read(at, n, tokens + done, impl_->vocab);
        if (doc_start) {
            impl_->documents.starts(list.shards[shard], at, n, tokens + done, doc_start + done);
            // Tokens before the first document start of a shard continue the document of the shard before it.
            const bool begins = at == 0 && impl_->documents.begins(list.shards[shard], tokens[done]);
            for (int32_t t = done; t < done + n; t++)
                doc_start[t] = doc_start[t] == 0 && !begins ? began : doc_start[t] + done;
            began = doc_start[done + n - 1];
        }
        done += n;
    }
}

// ---------------------------------------------------------------- documents
void document_starts(int32_t* doc_start, const int32_t* tokens, int64_t count, int64_t delimiter) {
    int32_t start = 0;
    for (int64_t t = 0; t < count; t++) {
        if (tokens[t] == delimiter) start = int32_t(t);
        doc_start[t] = start;
    }
}

}  // namespace sluice
