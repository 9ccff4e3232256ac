#include "text/byte_pairs.h"

#include <algorithm>
#include <atomic>
#include <stdexcept>

namespace sluice {
namespace {

constexpr size_t kLargestCache = size_t{1} << 16, kLongestCached = 64;  // words of a thread; bytes of a word

uint64_t pair_key(int32_t left, int32_t right) { return uint64_t(uint32_t(left)) << 32 | uint32_t(right); }

}  // namespace

void BytePairs::add_token(int32_t id, const std::string& bytes) { ids_[bytes] = id; }

std::optional<int32_t> BytePairs::find(std::string_view bytes) const {
    const auto it = ids_.find(bytes);
    return it == ids_.end() ? std::nullopt : std::optional(it->second);
}

int32_t BytePairs::id_of(const std::string& bytes, const char* what) const {
    if (const auto id = find(bytes)) return *id;
    throw std::runtime_error(std::string(what) + " '" + bytes + "', which is no token");
}

void BytePairs::add_merge(const std::string& left, const std::string& right) {
    const int32_t a = id_of(left, "merge of"), b = id_of(right, "merge of");
    merges_[pair_key(a, b)] = {next_rank_++, id_of(left + right, "merge to")};
}

void BytePairs::merge_by_id() {
    for (const auto& [bytes, id] : ids_)
        for (size_t i = 1; i < bytes.size(); i++) {
            const auto left = ids_.find(std::string_view(bytes).substr(0, i));
            const auto right = ids_.find(std::string_view(bytes).substr(i));
            if (left != ids_.end() && right != ids_.end()) merges_[pair_key(left->second, right->second)] = {id, id};
        }
}

std::vector<bool> BytePairs::made() const {
    std::vector<bool> made;
    const auto mark = [&](int32_t id) {
        if (size_t(id) >= made.size()) made.resize(size_t(id) + 1);
        made[size_t(id)] = true;
    };
    for (const int32_t id : byte_ids_) mark(id);
    for (const auto& [pair, merge] : merges_) mark(merge.id);
    return made;
}

void BytePairs::finish() {
    for (int b = 0; b < 256; b++) {
        const auto id = find(std::string(1, char(b)));
        if (!id) throw std::runtime_error("no token for byte " + std::to_string(b) + ": not byte-level BPE");
        byte_ids_[size_t(b)] = *id;
    }
    static std::atomic<uint64_t> serials{0};
    serial_ = ++serials;
}

bool BytePairs::makes(int32_t id) const {
    const auto whole = [&](const auto& token) { return token.second == id; };
    return std::find(byte_ids_.begin(), byte_ids_.end(), id) != byte_ids_.end() ||
           std::any_of(merges_.begin(), merges_.end(), [&](const auto& merge) { return merge.second.id == id; }) ||
           (ignore_merges_ && !never_whole_.contains(id) && std::any_of(ids_.begin(), ids_.end(), whole));
}

std::vector<std::string_view> BytePairs::tokens() const {
    std::vector<std::string_view> all;
    for (const auto& [token, id] : ids_) all.push_back(token);
    return all;
}

// Words repeat: each thread caches the ids of short ones.
void BytePairs::encode(std::string_view word, std::vector<int32_t>& ids) const {
    struct Cache {
        uint64_t serial = 0;
        std::unordered_map<std::string, std::vector<int32_t>, TextHash, std::equal_to<>> words;
    };
    thread_local Cache cache;
    if (word.size() > kLongestCached) return merge(word, ids);
    if (cache.serial != serial_ || cache.words.size() >= kLargestCache) {
        cache.words.clear();
        cache.serial = serial_;
    }
    auto it = cache.words.find(word);
    if (it == cache.words.end()) {
        std::vector<int32_t> merged;
        merge(word, merged);
        it = cache.words.emplace(std::string(word), std::move(merged)).first;
    }
    ids.insert(ids.end(), it->second.begin(), it->second.end());
}

// The symbols of a word are a linked list, at first its bytes. A merge puts its result into the left symbol and unlinks
// the right one. The queue holds candidates, the lowest rank and then the leftmost first. A candidate is out of date,
// and skipped, if its symbols have changed since.
void BytePairs::merge(std::string_view word, std::vector<int32_t>& ids) const {
    if (ignore_merges_)
        if (const auto whole = ids_.find(word); whole != ids_.end() && !never_whole_.contains(whole->second))
            return ids.push_back(whole->second);
    struct Symbol {
        int32_t id, previous, next;
    };
    struct Candidate {
        int32_t rank, at, left, right, result;
        bool operator>(const Candidate& other) const { return std::pair(rank, at) > std::pair(other.rank, other.at); }
    };
    const auto n = int32_t(word.size());
    std::vector<Symbol> symbols(word.size());
    for (int32_t i = 0; i < n; i++)
        symbols[size_t(i)] = {byte_ids_[uint8_t(word[size_t(i)])], i - 1, i + 1 < n ? i + 1 : -1};
    std::vector<Candidate> queue;
    const auto offer = [&](int32_t at) {
        const int32_t next = at < 0 ? -1 : symbols[size_t(at)].next;
        if (next < 0) return;
        const int32_t left = symbols[size_t(at)].id, right = symbols[size_t(next)].id;
        const auto merge = merges_.find(pair_key(left, right));
        if (merge == merges_.end()) return;
        queue.push_back({merge->second.rank, at, left, right, merge->second.id});
        std::push_heap(queue.begin(), queue.end(), std::greater<>());
    };
    for (int32_t i = 0; i + 1 < n; i++) offer(i);
    while (!queue.empty()) {
        std::pop_heap(queue.begin(), queue.end(), std::greater<>());
        const Candidate c = queue.back();
        queue.pop_back();
        Symbol& symbol = symbols[size_t(c.at)];
        // Skip a candidate that is out of date.
        if (symbol.id != c.left || symbol.next < 0 || symbols[size_t(symbol.next)].id != c.right) continue;
        Symbol& gone = symbols[size_t(symbol.next)];
        gone.id = -1;
        symbol.id = c.result;
        symbol.next = gone.next;
        if (symbol.next >= 0) symbols[size_t(symbol.next)].previous = c.at;
        offer(symbol.previous);
        offer(c.at);
    }
    for (int32_t i = 0; i >= 0 && n > 0; i = symbols[size_t(i)].next) ids.push_back(symbols[size_t(i)].id);
}

}  // namespace sluice
