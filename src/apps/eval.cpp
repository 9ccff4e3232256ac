#include <fmt/format.h>

#include <algorithm>

#include "apps/commands.h"
#include "base/check.h"
#include "base/format.h"
#include "base/json.h"
#include "engine/choose.h"
#include "parallel/collective.h"

namespace sluice {

int eval_command(Comm& comm, const CheckpointArgs& args, bool json) {
    Opened opened;
    std::vector<std::unique_ptr<ValidationData>> sets;
    const auto open = [&] { opened = open_for_inference(args.checkpoint, args.overrides, comm.size()); };
    if (const int failed = on_all_ranks(comm, open)) return failed;
    const Engine* engine = nullptr;
    if (const int failed = choose_engine(opened.config, comm, engine)) return failed;
    const int failed = on_all_ranks(comm, [&] {
        engine->require(opened.config);
        const DataSpec& data = opened.config.data;
        if (data.validation.empty())
            fail(Exit::config, "nothing to evaluate on: give data.validation=[{name: NAME, path: SHARDS}]");
        tokenizer_name(data, Reads::validation);  // fails unless all sets have the same tokenizer
        for (const auto& set : data.validation)
            sets.push_back(std::make_unique<ValidationData>(data, set, opened.config.model.vocab));
    });
    if (failed) return failed;
    const Config& config = opened.config;
    const EvaluationSpec spec{config.data.sequence_length, std::max<int64_t>(1, config.train.micro_batch),
                              config.eval.batches * config.train.batch, config.data.document_mask,
                              comm.rank() > 0 ? nullptr
                              : json          ? stderr
                                              : stdout};
    Json result{{"step", opened.checkpoint.info.step}, {"sets", Json::object()}};
    const auto evaluated = [&](size_t i, const Evaluation& e) {
        const std::string& name = config.data.validation[i].name;
        Json set{{"loss", e.loss}, {"perplexity", e.perplexity}, {"bits_per_byte", nullptr}, {"tokens", e.tokens}};
        if (e.bits_per_byte) set["bits_per_byte"] = *e.bits_per_byte;
        result["sets"][name] = set;
        if (comm.rank() == 0 && !json)
            fmt::print("{:<16} loss {} | perplexity {} | bits per byte {} | {}\n", name, format_fixed(e.loss, 4),
                       format_fixed(e.perplexity, 3), e.bits_per_byte ? format_fixed(*e.bits_per_byte, 4) : "unknown",
                       counted(e.tokens, "token"));
    };
    if (const int exit = engine->evaluate(opened, comm, sets, spec, evaluated)) return exit;
    if (comm.rank() == 0 && json) fmt::print("{}\n", result.dump());
    return 0;
}

}  // namespace sluice
