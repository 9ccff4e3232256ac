#include <fmt/format.h>

#include <algorithm>

#include "apps/commands.h"
#include "apps/load_model.h"
#include "base/check.h"
#include "base/format.h"
#include "base/json.h"
#include "eval/evaluate.h"
#include "model/with_backend.h"
#include "parallel/collective.h"

namespace sluice {

namespace {

using Sets = std::vector<std::unique_ptr<ValidationData>>;

template <class B>
int evaluate_all(Comm& comm, const Opened& opened, const Sets& sets, bool json) {
    const Config& config = opened.config;
    const int64_t sequences = std::max<int64_t>(1, config.train.micro_batch);
    Mesh mesh(comm, mesh_shape(config.model, config.parallel));
    std::unique_ptr<Model<B>> model;
    if (const int unloaded = on_all_ranks(comm, [&] { model = load_model<B>(opened, sequences, mesh); }))
        return unloaded;
    const EvaluationSpec spec{config.data.sequence_length, sequences, config.eval.batches * config.train.batch,
                              config.data.document_mask,
                              comm.rank() > 0 ? nullptr
                              : json          ? stderr
                                              : stdout};
    Json result{{"step", opened.checkpoint.info.step}, {"sets", Json::object()}};
    for (size_t i = 0; i < sets.size(); i++) {
        const Evaluation e = evaluate(*model, *sets[i], spec);
        Json set{{"loss", e.loss}, {"perplexity", e.perplexity}, {"bits_per_byte", nullptr}, {"tokens", e.tokens}};
        if (e.bits_per_byte) set["bits_per_byte"] = *e.bits_per_byte;
        result["sets"][config.data.validation[i].name] = set;
        if (comm.rank() == 0 && !json)
            fmt::print("{:<16} loss {} | perplexity {} | bits per byte {} | {}\n", config.data.validation[i].name,
                       format_fixed(e.loss, 4), format_fixed(e.perplexity, 3),
                       e.bits_per_byte ? format_fixed(*e.bits_per_byte, 4) : "unknown", counted(e.tokens, "token"));
    }
    if (comm.rank() == 0 && json) fmt::print("{}\n", result.dump());
    return 0;
}

}  // namespace

int eval_command(Comm& comm, const CheckpointArgs& args, bool json) {
    Opened opened;
    Sets sets;
    const int failed = on_all_ranks(comm, [&] {
        opened = open_for_inference(args.checkpoint, args.overrides, comm.size());
        require_backend(opened.config);
        const DataSpec& data = opened.config.data;
        if (data.validation.empty())
            fail(Exit::config, "nothing to evaluate on: give data.validation=[{name: NAME, path: SHARDS}]");
        tokenizer_name(data, Reads::validation);  // fails unless all sets have the same tokenizer
        for (const auto& set : data.validation)
            sets.push_back(std::make_unique<ValidationData>(data, set, opened.config.model.vocab));
    });
    if (failed) return failed;
    return with_backend(opened.config, [&]<class B>(B) { return evaluate_all<B>(comm, opened, sets, json); });
}

}  // namespace sluice
