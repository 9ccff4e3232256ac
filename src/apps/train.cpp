#include "apps/commands.h"
#include "apps/text.h"
#include "base/check.h"
#include "config/load.h"
#include "train/collective.h"
#include "train/run.h"

namespace sluice {

int train_command(Comm& comm, const ConfigArgs& args) {
    Loaded loaded;
    std::unique_ptr<Tokenizer> tokenizer;
    Text text;
    const int failed = collectively(comm, [&] {
        loaded = load_config(args.config, args.overrides, Purpose::train);
        resolve_ranks(loaded.config, comm.size());
        set_mpi_timeout(loaded.config.parallel.timeout);
        tokenizer = tokenizer_of(loaded.config.data);
        if (tokenizer) text = text_of(*tokenizer);
    });
    if (failed) return failed;
    return int(train(loaded.config, comm, text));
}

}  // namespace sluice
