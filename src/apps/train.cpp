#include "apps/commands.h"
#include "apps/text.h"
#include "engine/choose.h"

namespace sluice {

int train_command(Comm& comm, const Config& config) {
    set_mpi_timeout(config.parallel.timeout);
    const Engine* engine = nullptr;
    if (const int failed = choose_engine(config, comm, engine, true)) return failed;
    std::unique_ptr<Tokenizer> tokenizer;
    return int(engine->train(config, comm, [&] {
        tokenizer = tokenizer_of(config.data);
        return tokenizer ? text_of(*tokenizer) : Text();
    }));
}

}  // namespace sluice
