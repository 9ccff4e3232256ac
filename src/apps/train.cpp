#include "apps/commands.h"
#include "apps/text.h"
#include "train/run.h"

namespace sluice {

int train_command(Comm& comm, const Config& config) {
    set_mpi_timeout(config.parallel.timeout);
    std::unique_ptr<Tokenizer> tokenizer;
    return int(train(config, comm, [&] {
        tokenizer = tokenizer_of(config.data);
        return tokenizer ? text_of(*tokenizer) : Text();
    }));
}

}  // namespace sluice
