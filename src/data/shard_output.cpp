#include "data/shard_output.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>

#include "base/check.h"

namespace sluice {
namespace {

namespace fs = std::filesystem;

// The shards NAME_000000.bin, ... in a folder.
std::vector<fs::path> shards_of(const fs::path& folder, const std::string& name) {
    std::vector<fs::path> found;
    for (const auto& entry : fs::directory_iterator(folder))
        if (entry.path().extension() == ".bin" && set_path(entry.path()).filename() == name + ".json")
            found.push_back(entry.path());
    return found;
}

}  // namespace

ShardOutput::ShardOutput(const fs::path& folder, const std::string& name, ShardSet set, int64_t shard_tokens,
                         bool replace)
    : folder_(folder),
      partial_(folder / (name + ".partial")),
      name_(name),
      set_(std::move(set)),
      shard_tokens_(shard_tokens),
      replace_(replace) {
    make_folders(folder);
    const bool interrupted = fs::exists(partial_);
    if (!replace && (fs::exists(final_path(".json")) || (!interrupted && !shards_of(folder, name).empty())))
        fail(Exit::data, final_path(".json").string() +
                             ": there is a set of shards of this name: give another --name, "
                             "or --replace it");
    make_folders(partial_);
    // Of two processes that write the same set, only one gets the lock.
    lock_ = open(partial_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (lock_ < 0 || flock(lock_, LOCK_EX | LOCK_NB) != 0) {
        if (lock_ >= 0) close(lock_);
        fail(Exit::data, partial_.string() + ": another sluice-data is writing this set of shards");
    }
    for (const auto& entry : fs::directory_iterator(partial_)) remove_tree(entry.path());
}

ShardOutput::~ShardOutput() {
    shard_.reset();
    std::error_code ignored;
    // If shards were moved out already, NAME.partial stays and marks their set as incomplete.
    if (fs::exists(final_path(".json")) || shards_of(folder_, name_).empty()) fs::remove_all(partial_, ignored);
    close(lock_);
}

void ShardOutput::open_shard() {
    char number[24];
    std::snprintf(number, sizeof number, "_%06zu.bin", set_.shards.size());
    set_.shards.push_back({name_ + number, 0, 0, 0, 0, ""});
    shard_ = std::make_unique<ShardWriter>(partial_ / set_.shards.back().file, set_.vocab);
}

void ShardOutput::close_shard() {
    ShardFacts& facts = set_.shards.back();
    shard_->close();
    facts.tokens = shard_->size();
    for (const Document& d : shard_->documents()) {
        facts.documents += d.start >= 0;
        facts.text_bytes += d.text_bytes;
    }
    facts.largest_id = std::max(0, shard_->largest());
    facts.hash = shard_->hash();
    shard_.reset();
}

void ShardOutput::add(const int32_t* ids, int64_t count, int64_t bytes, bool continues) {
    if (!continues) document_tokens_ = 0;
    documents += !continues;
    tokens += count;
    text_bytes += bytes;
    while (count > 0) {
        if (shard_ && shard_->size() == shard_tokens_) close_shard();
        const bool opened = !shard_;
        if (opened) open_shard();
        const int64_t n = std::min(count, shard_tokens_ - shard_->size());
        // The bytes of a document that is split at the shard's end are divided in proportion to its tokens.
        const auto bytes_here = int64_t((__int128)(bytes)*n / count);
        if (opened || document_tokens_ == 0)
            shard_->begin_document(bytes_here, document_tokens_);
        else
            shard_->more_text(bytes_here);
        shard_->add(ids, n);
        ids += n;
        count -= n;
        bytes -= bytes_here;
        document_tokens_ += n;
    }
}

void ShardOutput::finish() {
    if (shard_) close_shard();
    if (tokens == 0) fail(Exit::data, "the inputs hold no text");
    // Until NAME.json is written the shards in the folder are no complete set, and NAME.partial marks that.
    std::error_code ignored;
    fs::remove(final_path(".json"), ignored);
    for (const auto& old : shards_of(folder_, name_)) {
        remove_tree(old);
        remove_tree(fs::path(old).replace_extension(".documents"));
    }
    for (const ShardFacts& s : set_.shards) {
        const fs::path index = fs::path(s.file).replace_extension(".documents");
        rename_path(partial_ / index, folder_ / index);
        rename_path(partial_ / s.file, folder_ / s.file);
    }
    sync_folder(folder_);
    write_shard_set(final_path(".json"), set_);
}

}  // namespace sluice
