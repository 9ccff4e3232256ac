#include "apps/commands.h"
#include "apps/text.h"
#include "train/collective.h"
#include "train/run.h"

namespace sluice {

int train_command(Comm& comm, const Config& config) {
    std::unique_ptr<Tokenizer> tokenizer;
    Text text;
    set_mpi_timeout(config.parallel.timeout);
    const int failed = collectively(comm, [&] {
        tokenizer = tokenizer_of(config.data);
        if (tokenizer) text = text_of(*tokenizer);
    });
    if (failed) return failed;
    return int(train(config, comm, text));
}

}  // namespace sluice
