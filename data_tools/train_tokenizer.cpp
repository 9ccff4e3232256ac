// Trains a SentencePiece BPE model whose encoding can be undone: no normalisation, spaces and newlines kept, bytes for
// the rest.
#include <sentencepiece_trainer.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "base/check.h"
#include "base/file.h"
#include "data_tools/commands.h"

namespace sluice {
namespace {

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

}  // namespace

int train_tokenizer_command(const TrainTokenizerArgs& args) {
    constexpr int64_t kSmallest = 256 + 3;  // bytes, unknown, begin, end
    if (args.vocab <= kSmallest) fail(Exit::data, "--vocab must be above " + std::to_string(kSmallest));
    std::vector<std::string> lines;
    for (const auto& path : args.inputs) {
        std::ifstream in(path);
        if (!in || !std::filesystem::is_regular_file(path)) fail(Exit::data, path + ": no such file");
        for (std::string line; std::getline(in, line);)
            if (!line.empty()) lines.push_back(line);
    }
    if (lines.empty()) fail(Exit::data, "the inputs hold no text to train on");
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
                                                                    {"max_sentence_length", "65536"},
                                                                    {"num_threads", "1"},
                                                                    {"minloglevel", "2"}},
                                                                   &sentences, &model);
    if (!status.ok())
        fail(Exit::data, "cannot train a tokenizer of " + std::to_string(args.vocab) +
                             " pieces on these files: " + status.ToString());
    write_file(args.out, model);
    return 0;
}

}  // namespace sluice
