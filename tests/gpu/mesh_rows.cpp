// Ranks that share one GPU, as threads of one process, against one rank; and NCCL.
#include <cmath>
#include <cstdio>

#include "base/format.h"
#include "gpu/passes.h"
#include "kernels/capability.h"
#include "support/collected.h"
#include "support/oracle.h"
#if __has_include("kernels/nccl.h")
#include <chrono>
#include <memory>
#include <thread>

#include "kernels/nccl.h"
#include "tensor/arena.h"
#endif

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

// Every collective of a group of one rank leaves what it got.
#if __has_include("kernels/nccl.h")
Outcome nccl(Sizes) {
    using B = Cuda<float>;
    constexpr int64_t kCount = 1000003;
    constexpr double kSeconds = 60;
    if (const std::string lacks = nccl_lacks<B>(true); !lacks.empty()) return {Outcome::not_run, lacks, {}};
    use_device<B>(0, false);
    Memory& memory = memory_of<B>();
    const StreamOwner<B> stream;
    const std::unique_ptr<Nccl> nccl = open_nccl<B>(kSeconds);
    const int comm = nccl->open("check", 1, 0, nccl->new_id());
    while (!nccl->opened(comm)) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    std::vector<float> host(size_t(kCount), 0);
    for (int64_t i = 0; i < kCount; i++) host[size_t(i)] = float(i % 1009) - 500;
    const size_t bytes = host.size() * sizeof(float);
    const Arena from("numbers of a check", bytes, memory), to("numbers of a check", bytes, memory);
    const char* failed = "";
    const auto hold = [&](const char* what, auto collective) {
        const NcclPlace place{comm, stream.get(), false, what, 1};
        memory.to_device(place.stream, from.data(), host.data(), bytes);
        memory.zero(place.stream, to.data(), bytes);
        const void* const result = collective(place);
        std::vector<float> got(host.size());
        memory.to_host(place.stream, got.data(), result, bytes);
        memory.wait(place.stream);
        if (got != host) failed = what;
    };
    hold("all_reduce", [&](const NcclPlace& place) {
        nccl->all_reduce(place, from.data(), kCount, Number::f32);
        return from.data();
    });
    hold("reduce_scatter", [&](const NcclPlace& place) {
        nccl->reduce_scatter(place, to.data(), from.data(), &kCount, Number::f32);
        return to.data();
    });
    hold("all_gather", [&](const NcclPlace& place) {
        nccl->all_gather(place, to.data(), from.data(), &kCount, sizeof(float));
        return to.data();
    });
    hold("all_to_all", [&](const NcclPlace& place) {
        nccl->all_to_all(place, to.data(), &kCount, from.data(), &kCount, sizeof(float));
        return to.data();
    });
    hold("broadcast", [&](const NcclPlace& place) {
        nccl->broadcast(place, from.data(), bytes, 0);
        return from.data();
    });
    const std::string error = nccl->error();
    nccl->close(kSeconds);
    if (!error.empty()) return {Outcome::fail, error, {}};
    if (*failed) return {Outcome::fail, std::string(failed) + " of one rank changes what it gets", {}};
    return {Outcome::pass, "five collectives of one rank leave what they get", {}};
}
#else
Outcome nccl(Sizes) { return {Outcome::not_run, "this engine does not use NCCL", {}}; }
#endif

}  // namespace

std::vector<Row> mesh_rows() {
    return {row("dp2", {}),
            row("tp2", {"parallel.tensor=2"}),
            row("ep2", {"parallel.expert=2"}, true),
            row("zero1", {"parallel.zero=1"}),
            {"nccl.one", nccl}};
}

}  // namespace sluice
