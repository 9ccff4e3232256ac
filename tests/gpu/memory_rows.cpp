// The bytes that are planned against those that a GPU has given.
#include "gpu/judge.h"
#include "kernels/memory.h"
#include "plan/plan.h"

namespace sluice {
namespace {

// Of 1.7B-28 four layers, whose head and embedding are its own, or a small model.
Config config_of(Sizes sizes) {
    const Keys keys = sizes == Sizes::real
                          ? Keys{"model.layers=4",        "model.hidden=2048",         "model.heads=16",
                                 "model.kv_heads=8",      "model.head_dim=128",        "model.vocab=151936",
                                 "model.ffn.hidden=6144", "model.tie_embeddings=true", "data.sequence_length=4096",
                                 "train.batch=4",         "train.micro_batch=4"}
                          : Keys{"model.vocab=3001", "train.batch=8"};
    return model_config(sizes, joined(kGated, keys));
}

template <class B>
Outcome as_planned(Sizes sizes) {
    const Config config = config_of(sizes);
    Memory& memory = memory_of<B>();
    const size_t planned = plan_memory(config, {}, B::kStorage).total(), before = memory.room(1).free;
    if (planned + memory.beside() > before)
        return {Outcome::not_run,
                "it needs " + format_bytes(double(planned + memory.beside())) + ", and " +
                    format_bytes(double(before)) + " are free",
                {}};
    const Trainer<B> trainer(config, solo_mesh(memory));
    return judge_memory(planned, trainer.bytes(), before - memory.room(1).free, memory.beside());
}

}  // namespace

std::vector<Row> memory_rows() {
    return {{"memory.float", as_planned<Cuda<float>>}, {"memory.bf16", as_planned<Cuda<bf16>>}};
}

}  // namespace sluice
