// The bytes that are planned against those that a GPU has given.
#include "base/format.h"
#include "gpu/small_model.h"
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
    const size_t taken = before - memory.room(1).free, beside = taken - std::min(taken, planned);
    const bool same = trainer.bytes() == planned && taken >= planned && beside <= memory.beside();
    const std::string other = trainer.bytes() == planned ? "" : ", " + std::to_string(trainer.bytes()) + " allocated";
    return {same ? Outcome::pass : Outcome::fail,
            std::to_string(planned) + " bytes planned" + other + "; beside them " + format_bytes(double(beside)) +
                " taken, at most " + format_bytes(double(memory.beside())) + " planned",
            {{"planned", double(planned)}, {"arenas", double(trainer.bytes())}, {"taken", double(taken)}}};
}

}  // namespace

std::vector<Row> memory_rows() {
    return {{"memory.float", as_planned<Cuda<float>>}, {"memory.bf16", as_planned<Cuda<bf16>>}};
}

}  // namespace sluice
