// Ranks that share one GPU, as threads of one process, against one rank; and NCCL.
#include <cmath>
#include <cstdio>

#include "base/format.h"
#include "gpu/passes.h"
#include "kernels/capability.h"
#include "support/collected.h"
#include "support/oracle.h"

namespace sluice {
namespace {

constexpr int kSteps = 3;

struct Course {
    std::vector<StepResult> steps;
    WholeTensors first;  // the state after the first step: moments that are its gradients
};
template <class B>
Course run(Sizes sizes, const Keys& keys, int ranks) {
    Config config = model_config(sizes, keys, ranks);
    config.train.micro_batch = 2 / data_ranks_of(config, ranks);
    resolve_ranks(config, ranks);
    Course course;
    Collected first;
    run_threads(ranks, [&](Comm& comm) {
        use_device<B>(0, false);
        Mesh mesh(comm, mesh_shape(config.model, config.parallel), memory_of<B>());
        Trainer<B> trainer(config, mesh);
        for (int s = 0; s < kSteps; s++) {
            const StepResult result = trainer.step(samples_of(config));
            if (comm.rank() == 0) course.steps.push_back(result);
            if (s == 0) first.add(trainer);
        }
    });
    course.first = first.state;
    return course;
}

// Empty where two ranks agree with one.
template <class B>
std::string differs(Sizes sizes, const Keys& model, const Keys& mesh, double& most) {
    using T = typename B::T;
    const Course one = run<B>(sizes, model, 1), two = run<B>(sizes, joined(model, mesh), 2);
    for (size_t s = 0; s < one.steps.size(); s++)
        for (const auto what : {&StepResult::loss, &StepResult::grad_norm}) {
            const double got = two.steps[s].*what, want = one.steps[s].*what;
            const double relative = std::abs(got - want) / std::abs(want);
            most = std::max(most, relative);
            if (!(relative <= tolerance<T>()))
                return std::string(what == &StepResult::loss ? "loss" : "gradient norm") + " of step " +
                       std::to_string(s + 1) + " is " + format_fixed(got, 7) + ", of one rank " + format_fixed(want, 7);
        }
    if constexpr (std::is_same_v<T, float>)
        for (const auto& [name, values] : one.first)
            if (is_optimizer_state(name) && !(relative_error(two.first.at(name), values) <= tolerance<T>()))
                return name + " differs by " + format_fixed(1e6 * relative_error(two.first.at(name), values), 2) +
                       "e-6 of its norm after a step";
    return "";
}

Row row(const std::string& name, const Keys& mesh, bool mixture = false) {
    return {"mesh." + name, [=](Sizes sizes) -> Outcome {
                const Keys model = mixture ? experts(sizes) : kGated;
                double most = 0, most_bf16 = 0;
                std::string wrong = differs<Cuda<float>>(sizes, model, mesh, most);
                if (!wrong.empty()) return {Outcome::fail, "in float " + wrong, {}};
                wrong = differs<Cuda<bf16>>(sizes, model, mesh, most_bf16);
                if (!wrong.empty()) return {Outcome::fail, "in bf16 " + wrong, {}};
                char text[80];
                std::snprintf(text, sizeof text, "2 ranks agree with 1: losses and norms to %.0e, in bf16 to %.0e",
                              most, most_bf16);
                return {Outcome::pass, text, {{"difference", most}, {"difference_bf16", most_bf16}}};
            }};
}

Outcome nccl(Sizes) {
    const std::string has = libraries<Cuda<float>>();
    if (has.find("NCCL") == has.npos) return {Outcome::not_run, "this engine does not use NCCL: " + has, {}};
    return {Outcome::not_run, "no row asks NCCL for a group of one rank", {}};
}

}  // namespace

std::vector<Row> mesh_rows() {
    return {row("dp2", {}),
            row("tp2", {"parallel.tensor=2"}),
            row("ep2", {"parallel.expert=2"}, true),
            row("zero1", {"parallel.zero=1"}),
            {"nccl.one", nccl}};
}

}  // namespace sluice
