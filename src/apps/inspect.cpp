#include "apps/inspect.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <set>

#include "apps/text.h"
#include "base/check.h"
#include "base/file.h"
#include "base/format.h"
#include "base/utf8.h"
#include "cli/terminal.h"
#include "config/per_layer.h"
#include "engine/choose.h"
#include "parallel/collective.h"

namespace sluice {
namespace {

constexpr int64_t kWindows = 16;                // of validation data
constexpr size_t kMostText = size_t{64} << 20;  // bytes

// "0,5-7", within 0 .. layers - 1.
std::vector<int64_t> layers_of(const std::string& list, int64_t layers) {
    std::set<int64_t> all;
    for (size_t begin = 0; !list.empty() && begin <= list.size();) {
        const size_t end = std::min(list.find(',', begin), list.size());
        const std::string part = list.substr(begin, end - begin);
        LayerRange range;
        if (!read_range(part, range) || range.first > range.last)
            fail(Exit::config, "--layers: " + in_quotes(part) + " is no layer and no range: write 0,5-7");
        if (range.last >= layers)
            fail(Exit::config, "--layers: there is no layer " + std::to_string(range.last) + ": the model has " +
                                   counted(layers, "layer") + ", from 0 on");
        for (int64_t l = range.first; l <= range.last; l++) all.insert(l);
        begin = end + 1;
    }
    return {all.begin(), all.end()};
}

std::optional<std::string> given_text(const InspectArgs& args) {
    if (args.text && args.text_file) fail(Exit::config, "--text and --text-file: give one of them");
    if (!args.text && !args.text_file) return std::nullopt;
    std::string text = args.text ? *args.text : read_file(*args.text_file, int(Exit::data), kMostText, Links::follow);
    if (text.empty())
        fail(Exit::config, args.text ? "--text: is empty" : "--text-file: " + *args.text_file + " is empty");
    return text;
}

// Window by window: a document that began before its window begins with it.
void read_validation(const Config& config, InspectedText& text) {
    const DataSpec& data = config.data;
    if (data.validation.empty())
        fail(Exit::config, "there is nothing to look at: give --text TEXT or --text-file FILE");
    ValidationData set(data, data.validation[0], config.model.vocab);
    const int64_t tokens = std::min(set.tokens(), kWindows * text.length);
    text.tokens.resize(size_t(tokens));
    if (data.document_mask) text.doc_start.resize(size_t(tokens));
    for (int64_t t = 0; t < tokens; t += text.length)
        set.read(t, std::min(text.length, tokens - t), text.tokens.data() + t,
                 data.document_mask ? text.doc_start.data() + t : nullptr);
}

// What to look at. tokenizer: may be null with validation data.
InspectedText read_text(const Config& config, const std::optional<std::string>& given, const Tokenizer* tokenizer) {
    InspectedText text{{}, {}, config.data.sequence_length, std::max<int64_t>(1, config.train.micro_batch)};
    if (given) {
        text.tokens = tokenizer->encode(*given);
        text.tokens.insert(text.tokens.begin(), tokenizer->delimiter());
        return text;
    }
    try {
        read_validation(config, text);
    } catch (const Failure& f) {
        if (f.code() != Exit::data) throw;
        fail(f.code(), std::string(f.what()) + "; or give a text by --text or --text-file");
    }
    return text;
}

// Part of a character as its bytes, "<E4 BA>".
std::string in_bytes(const std::string& text) {
    std::string bytes;
    for (const unsigned char byte : text) bytes += fmt::format("{}{:02X}", bytes.empty() ? "<" : " ", byte);
    return bytes + ">";
}

// The texts of a map's tokens. Their ids without a tokenizer, and of those without a text, as "<1>".
std::vector<std::string> texts_of(const std::vector<int32_t>& tokens, int64_t count, const Tokenizer* tokenizer) {
    std::vector<std::string> texts;
    for (int64_t t = 0; t < count; t++) {
        const int32_t id = tokens[size_t(t)];
        const std::string text = tokenizer ? tokenizer->decode({id}) : std::to_string(id);
        texts.push_back(text.empty() ? "<" + std::to_string(id) + ">" : valid_utf8(text) ? text : in_bytes(text));
    }
    return texts;
}

// Where the checkpoint's run keeps what it knows.
std::filesystem::path run_folder(const std::filesystem::path& checkpoint) {
    const auto folder = std::filesystem::weakly_canonical(checkpoint).parent_path();
    if (folder.filename() != "checkpoints")
        fail(Exit::config, "--save: " + checkpoint.string() + " is in no run's folder: write --json > FILE");
    return folder.parent_path();
}

}  // namespace

int inspect_command(Comm& comm, const InspectArgs& args) {
    Opened opened;
    InspectedText text;
    InspectionNames names;
    std::unique_ptr<Tokenizer> tokenizer;
    std::filesystem::path saved;
    std::optional<std::string> given;
    const auto open = [&] {
        given = given_text(args);
        opened = open_for_inference(args.from.checkpoint, args.from.overrides, comm.size());
    };
    if (const int failed = on_all_ranks(comm, open)) return failed;
    const Engine* engine = nullptr;
    if (const int failed = choose_engine(opened.config, comm, engine)) return failed;
    const int failed = on_all_ranks(comm, [&] {
        const Config& config = opened.config;
        names.mapped_layers = layers_of(args.layers, config.model.layers);
        if (args.save) saved = run_folder(opened.checkpoint.path) / "inspect.json";
        engine->require(config);
        if (given)
            tokenizer = tokenizer_of_model(config);
        else if (!names.mapped_layers.empty())
            tokenizer = tokenizer_of(config.data, Reads::tokenizer);
        text = read_text(config, given, tokenizer.get());
        names.text = given.value_or("");
    });
    if (failed) return failed;
    Inspection inspection;
    if (const int exit = engine->inspect(opened, comm, text, inspection)) return exit;
    if (comm.rank() > 0) return 0;
    names.map_tokens = texts_of(text.tokens, inspection.map_tokens, tokenizer.get());
    const int64_t tokens = int64_t(text.tokens.size());
    const Json json = inspection_json(opened, inspection, names, tokens);
    // The text of a token may be half a character.
    const std::string written = json.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
    if (args.save) write_file(saved, written);
    if (args.json) {
        fmt::print("{}", written);
        return 0;
    }
    fmt::print("{} | step {} | {}\n\n{}", opened.checkpoint.path.string(), opened.checkpoint.info.step,
               counted(tokens, "token"), inspection_table(inspection));
    if (args.save)
        fmt::print("\nsaved as {}\n", saved.string());
    else if (!names.mapped_layers.empty())
        print_warning("--layers: maps of attention are in --json and --save alone");
    return 0;
}

}  // namespace sluice
