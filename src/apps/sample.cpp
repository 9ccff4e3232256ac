#include <fmt/format.h>

#include "apps/commands.h"
#include "apps/text.h"
#include "engine/choose.h"

namespace sluice {

int sample_command(const SampleArgs& args) {
    const Opened opened = open_for_inference(args.from.checkpoint, args.from.overrides, 1);
    const auto tokenizer = tokenizer_of_model(opened.config);  // all that is needed: the shards may be gone
    const Text words = text_of(*tokenizer);
    std::vector<int32_t> prompt{words.delimiter};
    for (int32_t id : words.encode(args.prompt)) prompt.push_back(id);
    const Sampling sampling{args.tokens, args.temperature, args.top_k, uint64_t(args.seed), stderr};
    const auto alone = solo_comm();
    const Engine* engine = nullptr;
    if (const int failed = choose_engine(opened.config, *alone, engine)) return failed;
    const auto ids = engine->generate(opened, prompt, words.drawn, sampling);
    std::vector<int32_t> text(prompt.begin() + 1, prompt.end());
    text.insert(text.end(), ids.begin(), ids.end());
    fmt::print("{}\n", tokenizer->decode(text));  // may hold any byte, even NUL
    return 0;
}

}  // namespace sluice
