// Trains a SentencePiece BPE model whose encoding loses nothing: no normalisation, spaces and newlines kept, unknown
// characters as bytes.
#include <sentencepiece_trainer.h>

#include <cstdio>
#include <filesystem>
#include <set>
#include <sstream>
#include <string>

#include "base/check.h"
#include "base/file.h"
#include "base/utf8.h"
#include "cli/terminal.h"
#include "data_tools/commands.h"
#include "documents/documents.h"

namespace sluice {
namespace {

constexpr size_t kTrainingBatch = size_t{1} << 20, kLongest = size_t{1} << 16;  // bytes per batch, per line

// The lines, as the library reads them.
class Lines : public sentencepiece::SentenceIterator {
 public:
    explicit Lines(const std::vector<std::string>& lines) : lines_(lines) {}
    bool done() const override { return at_ >= lines_.size(); }
    void Next() override { at_++; }
    const std::string& value() const override { return lines_[at_]; }
    sentencepiece::util::Status status() const override { return {}; }

 private:
    const std::vector<std::string>& lines_;
    size_t at_ = 0;
};

// Appends the lines of a text, without empty ones, until `left` bytes are used up. The library would leave out a line
// of more than kLongest bytes, so such a line is split.
void add_lines(const std::string& text, int64_t& left, std::vector<std::string>& lines) {
    std::istringstream in(text);
    for (std::string line; left > 0 && std::getline(in, line);) {
        left -= int64_t(line.size()) + 1;
        for (std::string_view rest = line; !rest.empty();) {
            const auto piece = rest.size() > kLongest ? whole_characters(rest.substr(0, kLongest)) : rest;
            lines.emplace_back(piece);
            rest.remove_prefix(piece.size());
        }
    }
}

std::vector<std::string> read_lines(const TrainTokenizerArgs& args, LeftOut& left_out) {
    std::vector<std::string> lines;
    const auto files = text_files(args.inputs);
    refuse_no_text(files, args.format, args.on_error == OnError::skip);
    ProgressLine progress("read", "bytes", double(total_bytes(files)));
    int64_t done = 0;
    for (const auto& file : files) {
        DocumentReader reader({file}, args.format);
        int64_t left = (args.megabytes << 20) / int64_t(files.size());
        for (std::vector<RawDocument> batch; left > 0 && reader.next(batch, kTrainingBatch);)
            for (size_t i = 0; i < batch.size() && left > 0; i++) try {
                    add_lines(text_of(batch[i], args.text_key), left, lines);
                    progress.at(double(done + reader.bytes_read()));
                } catch (const Failure& f) {
                    if (args.on_error == OnError::refuse)
                        fail(f.code(), std::string(f.what()) + " (--on-error skip leaves such documents out)");
                    left_out.add(f.what());
                }
        done += is_stream(file) ? reader.bytes_read() : int64_t(std::filesystem::file_size(file));
    }
    return lines;
}

int64_t different_characters(const std::vector<std::string>& lines) {
    std::set<char32_t> characters;
    for (const std::string& line : lines)
        for (size_t at = 0; at < line.size(); at += utf8_length(character_at(line, at)))
            characters.insert(character_at(line, at));
    return int64_t(characters.size());
}

}  // namespace

int train_tokenizer_command(const TrainTokenizerArgs& args) {
    constexpr int64_t kSmallest = 256 + 3;                // bytes, unknown, begin, end
    constexpr int64_t kBesideCharacters = kSmallest + 1;  // the newline
    if (args.vocab <= kSmallest) fail(Exit::config, "--vocab must be above " + std::to_string(kSmallest));
    LeftOut left_out;
    const auto lines = read_lines(args, left_out);
    left_out.print();
    if (lines.empty()) fail(Exit::data, "the inputs hold no text to train on");
    std::printf("learning %lld pieces from %zu lines by SentencePiece, which tells no progress; 100 MB take minutes\n",
                (long long)args.vocab, lines.size());
    std::fflush(stdout);
    Lines sentences(lines);
    std::string model;
    const auto status = sentencepiece::SentencePieceTrainer::Train({{"model_type", "bpe"},
                                                                    {"vocab_size", std::to_string(args.vocab)},
                                                                    {"byte_fallback", "true"},
                                                                    {"character_coverage", "1.0"},
                                                                    {"normalization_rule_name", "identity"},
                                                                    {"remove_extra_whitespaces", "false"},
                                                                    {"add_dummy_prefix", "false"},
                                                                    {"allow_whitespace_only_pieces", "true"},
                                                                    {"split_digits", "true"},
                                                                    {"user_defined_symbols", "\n"},
                                                                    {"max_sentence_length", std::to_string(kLongest)},
                                                                    {"num_threads", "1"},
                                                                    {"minloglevel", "2"}},
                                                                   &sentences, &model);
    if (status.ok()) {
        write_file(args.out, model);
        return 0;
    }
    if (const int64_t least = kBesideCharacters + different_characters(lines); args.vocab < least)
        fail(Exit::config, "--vocab " + std::to_string(args.vocab) +
                               " has no room for the characters of these files, each "
                               "of which is a piece: it must be at least " +
                               std::to_string(least));
    fail(Exit::data,
         "cannot train a tokenizer of " + std::to_string(args.vocab) + " pieces on these files: " + status.ToString());
}

}  // namespace sluice
