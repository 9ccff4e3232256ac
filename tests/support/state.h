// A small state to write checkpoints of.
#pragma once
#include <gtest/gtest.h>

#include <filesystem>
#include <functional>
#include <numeric>
#include <string>
#include <vector>

#include "base/check.h"
#include "checkpoint/checkpoint_writer.h"
#include "parallel/mesh.h"

namespace sluice {

namespace fs = std::filesystem;

struct State {
    std::vector<float> a, b, c;
    explicit State(float seed) : a(6), b(40), c(1) {
        std::iota(a.begin(), a.end(), seed);
        std::iota(b.begin(), b.end(), 10 * seed);
        c[0] = -seed;
    }
    // As one of `ranks` that hold everything, and share out the rows to be written.
    std::vector<StateTensor> list(int64_t ranks = 1, int64_t rank = 0) {
        std::vector<StateTensor> list{whole("a", {2, 3}, a.data()), whole("b", {4, 5, 2}, b.data()),
                                      whole("adam.m/a", {1}, c.data())};
        for (StateTensor& t : list) {
            const Slice rows = slice_of(t.shape[0], ranks, rank);
            t.own.start[0] = rows.begin;
            t.own.shape[0] = rows.size();
        }
        return list;
    }
    static StateTensor whole(const std::string& name, std::vector<int64_t> shape, float* data) {
        const Box box{std::vector<int64_t>(shape.size(), 0), shape};
        return {name, "F32", shape, box, data, box};
    }
    bool operator==(const State&) const = default;
};

inline int64_t save(const fs::path& folder, State& state, int64_t step, int ranks = 1, bool async = false,
                    int64_t keep = 0) {
    run_threads(ranks, [&](Comm& comm) {
        CheckpointWriter writer(folder, async, keep);
        CheckpointInfo info;
        info.step = step;
        info.tokens = 100 * step;
        info.config_yaml = "run: {}\n";
        info.mesh = {{"data", ranks}};
        writer.begin(comm, info, state.list(comm.size(), comm.rank()));
        writer.finish(comm);
    });
    return step;
}

// A step of whose last updates `skipped` were not applied.
inline void save_skipped(const fs::path& folder, State& state, int64_t step, int64_t skipped, int64_t keep) {
    const auto comm = solo_comm();
    CheckpointWriter writer(folder, false, keep);
    CheckpointInfo info;
    info.step = step;
    info.skipped_in_a_row = skipped;
    info.config_yaml = "run: {}\n";
    writer.begin(*comm, info, state.list());
    writer.finish(*comm);
}

// The line of a refusal.
inline std::string error_of(const std::function<void()>& body, Exit code = Exit::checkpoint) {
    try {
        body();
    } catch (const Failure& f) {
        EXPECT_EQ(f.code(), code) << f.what();
        EXPECT_EQ(std::string(f.what()).find('\n'), std::string::npos);
        return f.what();
    }
    ADD_FAILURE() << "nothing was refused";
    return "";
}

}  // namespace sluice
