#include "apps/commands.h"
#include "apps/text.h"
#include "engine/choose.h"
#include "parallel/collective.h"

namespace sluice {

int train_command(Comm& comm, const Config& config) {
    set_mpi_timeout(config.parallel.timeout);
    const Engine* engine = nullptr;
    if (const int failed = on_all_ranks(comm, [&] { engine = &engine_of(config, comm.rank()); })) return failed;
    std::unique_ptr<Tokenizer> tokenizer;
    return int(engine->train(config, comm, [&] {
        tokenizer = tokenizer_of(config.data);
        return tokenizer ? text_of(*tokenizer) : Text();
    }));
}

}  // namespace sluice
