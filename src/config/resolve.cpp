#include "config/resolve.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "base/check.h"
#include "base/format.h"
#include "config/scalar.h"
#include "config/validate.h"

namespace sluice {
namespace {

constexpr char kSteps[] = "train.steps", kTokens[] = "train.tokens", kEpochs[] = "train.epochs",
               kVocab[] = "model.vocab";

int64_t rounded_up(int64_t n, int64_t unit) { return n / unit + (n % unit != 0); }

void remove_null(Node& root, const std::string& section, const std::string& key) {
    Node* node = root.find(section);
    if (!node) return;
    std::erase_if(node->children, [&](const Node& child) {
        return child.key == key && child.kind == Node::Kind::null && !child.text.empty();
    });
}

void set_steps(Config& config, Marks& marks, const char* from, int64_t steps) {
    if (steps > kMaxCount) return marks.error(from, "comes to more than " + std::to_string(kMaxCount) + " steps");
    config.train.steps = steps;
    config.train.tokens.reset();
    config.train.epochs.reset();
}

// The vocabulary of the data. Nothing: they do not record it, and `why` says so. Errors: those of the data.
std::optional<int64_t> vocab_of(const DataSpec& data, const DataFacts& facts, std::string& why) {
    const DataFacts::Vocab vocab = facts.vocab(data);
    const bool in_range = vocab.size >= 2 && vocab.size <= kMaxVocab;
    if (!vocab.without_tokenizer.empty())
        why = "required: no tokenizer is recorded beside " + printable(vocab.without_tokenizer);
    else if (!in_range)
        why = "the data's tokenizer has " + std::to_string(vocab.size) + " ids: give model.vocab";
    return why.empty() ? std::optional(vocab.size) : std::nullopt;
}

void ask_vocab(Config& config, Marks& marks, const DataFacts& facts) {
    std::string why;
    std::optional<int64_t> vocab;
    try {
        vocab = vocab_of(config.data, facts, why);
    } catch (const Failure& f) {
        fail(f.code(), std::string(f.what()) + " (model.vocab is not given, and so read from the data)");
    }
    if (!vocab) return marks.error(kVocab, why);
    config.model.vocab = *vocab;
    validate_delimiter(config, marks);
}

// The model keeps its vocabulary. What else has changed is checked by the run.
void keep_vocab(Config& config, Marks& marks, const DataFacts& facts, int64_t before) {
    std::string why;
    std::optional<int64_t> vocab;
    try {
        vocab = vocab_of(config.data, facts, why);
    } catch (const Failure&) {}
    config.model.vocab = before;
    if (vocab != before)
        marks.warn(kVocab, std::to_string(before) + ", of the checkpoint that the run resumes from: the data " +
                               (vocab ? "record " + std::to_string(*vocab) : "do not record it"));
    validate_delimiter(config, marks);
}

void ask_samples(Config& config, Marks& marks, Purpose purpose, const DataFacts& facts,
                 const std::optional<Config>& before) {
    try {
        if (config.data.train.empty() || !facts.samples) fail(Exit::data, "no data.train to count samples of");
        set_steps(config, marks, kEpochs,
                  steps_of_epochs(*config.train.epochs, facts.samples(config.data), config.train.batch));
    } catch (const Failure& f) {
        if (before) return set_steps(config, marks, kEpochs, before->train.steps);  // the run reports the data
        if (purpose == Purpose::train) throw;
        marks.warn(kEpochs, std::string("the number of steps is not known: ") + f.what());
    }
}

}  // namespace

int64_t steps_of_epochs(double epochs, int64_t samples, int64_t batch) {
    double wanted = epochs * double(samples);
    // 1.1 epochs of 10 samples are 11 of them, and not 11.000000000000002.
    if (const double near = std::round(wanted); std::abs(wanted - near) <= 4e-16 * near) wanted = near;
    if (wanted >= 0x1p62) return std::numeric_limits<int64_t>::max();
    return rounded_up(int64_t(std::ceil(wanted)), batch);
}

void remove_nulls(Node& root) {
    for (const char* key : {"steps", "tokens", "epochs"}) remove_null(root, "train", key);
    remove_null(root, "model", "vocab");
}

void resolve_length(Config& config, Marks& marks, Purpose purpose) {
    std::vector<std::string> given;
    for (const char* key : {kSteps, kTokens, kEpochs})
        if (marks.given(key)) given.push_back(key);
    if (given.empty()) {
        if (purpose == Purpose::train && marks.ok(kSteps))
            marks.error(kSteps, "required, but not given (or train.tokens, or train.epochs)");
        return;
    }
    for (size_t i = 1; i < given.size(); i++)
        marks.error(given[i], "given beside " + given[0] + " (" + marks.origin(given[0]) + "): give one of them; " +
                                  given[0] + "=null withdraws the other");
    const TrainSpec& t = config.train;
    for (const auto& [key, empty] : {std::pair{kTokens, !t.tokens}, {kEpochs, !t.epochs}})
        if (marks.given(key) && empty && marks.ok(key)) marks.error(key, "has no value: give a number");
    if (given.size() > 1 || !t.tokens || !marks.ok(kTokens)) return;
    if (!marks.ok("train.batch") || !marks.ok("data.sequence_length")) return;
    if (t.batch < 1 || config.data.sequence_length < 1) return;  // not given, and so reported
    set_steps(config, marks, kTokens, rounded_up(*t.tokens, t.batch * config.data.sequence_length));
}

void require_vocab(const Config& config, Marks& marks, const DataFacts& facts) {
    if (marks.given(kVocab) || !marks.ok(kVocab)) return;
    if (!facts.vocab)
        marks.error(kVocab, "required, but not given");
    else if (config.data.train.empty() && config.data.validation.empty())
        marks.error(kVocab, "required, but not given, and there are no data to take it from");
}

void resolve_by_data(Config& config, Marks& marks, Purpose purpose, const DataFacts& facts) {
    const bool open = !marks.given(kVocab) || config.train.epochs;
    const std::optional<Config> before = open && facts.before ? facts.before(config) : std::nullopt;
    if (!marks.given(kVocab) && before)
        keep_vocab(config, marks, facts, before->model.vocab);
    else if (!marks.given(kVocab))
        ask_vocab(config, marks, facts);
    if (config.train.epochs) ask_samples(config, marks, purpose, facts, before);
}

std::map<std::string, std::string> resolved_origins(const Config& config, const Marks& marks) {
    std::map<std::string, std::string> origins;
    if (!marks.given(kVocab)) origins[kVocab] = "the data";
    if (config.train.tokens || config.train.epochs) return origins;  // still unknown
    for (const char* key : {kTokens, kEpochs})
        if (marks.given(key)) {
            origins[kSteps] = std::string(key) + ", " + marks.origin(key);
            origins[key] = "replaced by train.steps";
        }
    return origins;
}

}  // namespace sluice
