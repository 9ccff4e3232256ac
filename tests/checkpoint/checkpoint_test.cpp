// Checkpoints: any number of ranks to any other, damage of every kind found and named, kills at any moment.
#include "checkpoint/checkpoint.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include <csignal>
#include <fstream>
#include <numeric>

#include "base/check.h"
#include "base/file.h"
#include "checkpoint/checkpoint_writer.h"
#include "checkpoint/manifest.h"
#include "checkpoint/safetensors.h"
#include "parallel/mesh.h"
#include "support/folder.h"
#include "support/state.h"

namespace sluice {
namespace {

TEST(Checkpoint, AnyRanksLoadWhatAnyRanksWrote) {
    const Folder folder;
    std::string digest;
    for (const int ranks : {1, 2, 3, 5}) {
        State state(2), loaded(0);
        save(folder.path(), state, ranks, ranks, ranks % 2 == 0);
        const Checkpoint c = open_checkpoint(folder / step_name(ranks));
        EXPECT_TRUE(load_checkpoint(c, loaded.list(), false).empty());
        EXPECT_TRUE(loaded == state);
        EXPECT_EQ(c.info.tokens, 100 * ranks);
        if (digest.empty()) digest = c.info.digest;
        EXPECT_EQ(c.info.digest, digest) << "the digest depends on the mesh";
    }
    State other(3);
    save(folder.path(), other, 9);
    EXPECT_NE(open_checkpoint(folder / step_name(9)).info.digest, digest);
}

TEST(Checkpoint, AsyncWritesTheSameBytesFromASnapshot) {
    const Folder sync, async;
    State state(1);
    save(sync.path(), state, 1);
    const auto comm = solo_comm();
    CheckpointWriter writer(async.path(), true, 0);
    CheckpointInfo info;
    info.step = 1;
    info.tokens = 100;
    info.config_yaml = "run: {}\n";
    info.mesh = {{"data", 1}};
    State changing(1);
    writer.begin(*comm, info, changing.list());
    changing = State(50);
    writer.finish(*comm);
    for (const char* file : {"manifest.json", "rank-00000.safetensors"})
        EXPECT_EQ(read_file(sync / step_name(1) / file, 4, 1 << 20),
                  read_file(async / step_name(1) / file, 4, 1 << 20));
}

// A later mesh may cut tensors into boxes: rows, columns and both.
TEST(Checkpoint, PiecesOfAnyBox) {
    const Folder folder;
    State state(1);
    save(folder.path(), state, 1);
    const fs::path step = folder / step_name(1);
    Manifest m = parse_manifest(read_file(step / "manifest.json", 4, 1 << 20));
    const auto sharding = [&](const std::string& file, std::vector<int64_t> start, std::vector<int64_t> shape) {
        std::vector<float> data;
        for (int64_t i = start[0]; i < start[0] + shape[0]; i++)
            for (int64_t j = start[1]; j < start[1] + shape[1]; j++)
                for (int64_t k = start[2]; k < start[2] + shape[2]; k++)
                    data.push_back(state.b[size_t((i * 5 + j) * 2 + k)]);
        m.files[file] =
            write_safetensors(step / file, {{"b", "F32", shape, [&] { return data.data(); }, data.size() * 4}});
        m.tensors["b"].pieces.push_back({file, {start, shape}});
    };
    m.tensors["b"].pieces.clear();
    sharding("x1.safetensors", {0, 0, 0}, {3, 2, 2});
    sharding("x2.safetensors", {0, 2, 0}, {3, 3, 1});
    sharding("x3.safetensors", {0, 2, 1}, {3, 3, 1});
    sharding("x4.safetensors", {3, 0, 0}, {1, 5, 2});
    m.files["rank-00000.safetensors"] = write_safetensors(
        step / "rank-00000.safetensors", {{"a", "F32", {2, 3}, [&] { return state.a.data(); }, 24},
                                          {"adam.m/a", "F32", {1}, [&] { return state.c.data(); }, 4}});
    write_file(step / "manifest.json", manifest_text(m));
    State loaded(0);
    load_checkpoint(open_checkpoint(step), loaded.list(), false);
    EXPECT_TRUE(loaded == state);
    m.tensors["b"].pieces.pop_back();
    EXPECT_THROW(parse_manifest(manifest_text(m)), std::runtime_error) << "a hole";
    m.tensors["b"].pieces.push_back({"x4.safetensors", {{2, 0, 0}, {1, 5, 2}}});
    EXPECT_THROW(parse_manifest(manifest_text(m)), std::runtime_error) << "an overlap";
}

TEST(Checkpoint, DamageIsFoundAndThePreviousOneTaken) {
    const auto flip = [](const fs::path& path, size_t at) {
        std::string text = read_file(path, 4, 1 << 20);
        text[at % text.size()] = char(text[at % text.size()] ^ 4);
        std::ofstream(path, std::ios::binary) << text;
    };
    const std::string data = "rank-00000.safetensors", manifest = "manifest.json";
    const auto edit = [](const fs::path& path, const std::string& from, const std::string& to) {
        std::string text = read_file(path, 4, 1 << 20);
        ASSERT_NE(text.find(from), std::string::npos);
        std::ofstream(path, std::ios::binary) << text.replace(text.find(from), from.size(), to);
    };
    std::vector<std::pair<std::string, std::function<void(const fs::path&)>>> damages{
        {"no data", [&](const fs::path& p) { fs::remove(p / data); }},
        {"no manifest", [&](const fs::path& p) { fs::remove(p / manifest); }},
        {"empty manifest", [&](const fs::path& p) { std::ofstream(p / manifest).flush(); }},
        {"trailing byte", [&](const fs::path& p) { std::ofstream(p / data, std::ios::app) << "y"; }},
        {"dangling link",
         [&](const fs::path& p) { fs::remove(p / data), fs::create_symlink("../elsewhere", p / data); }},
        {"loop of links", [&](const fs::path& p) { fs::remove(p / data), fs::create_symlink(data, p / data); }},
        {"folder", [&](const fs::path& p) { fs::remove(p / data), fs::create_directory(p / data); }},
        {"version", [&](const fs::path& p) { edit(p / manifest, "\"format_version\": 1", "\"format_version\": 2"); }},
        {"duplicate key", [&](const fs::path& p) { edit(p / manifest, "\"step\": 2", "\"step\": 2, \"step\": 2"); }},
        {"float step", [&](const fs::path& p) { edit(p / manifest, "\"step\": 2", "\"step\": 2.0"); }},
        {"other step", [&](const fs::path& p) { edit(p / manifest, "\"step\": 2", "\"step\": 3"); }},
        {"path",
         [&](const fs::path& p) {
             edit(p / manifest, "\"rank-00000.safetensors\": {", "\"../rank-00000.safetensors\": {");
         }},
        {"shape", [&](const fs::path& p) { edit(p / manifest, "5,", "7,"); }},
        {"trailing manifest", [&](const fs::path& p) { std::ofstream(p / manifest, std::ios::app) << "{}"; }}};
    for (const size_t at : {0, 3, 9, 60, 100, 300, 400, 500})
        damages.emplace_back("bit", [&, at](const fs::path& p) { flip(p / data, at); });
    for (const size_t size : {0, 1, 7, 200})
        damages.emplace_back("short", [&, size](const fs::path& p) { fs::resize_file(p / data, size); });
    for (const auto& [name, damage] : damages) {
        SCOPED_TRACE(name);
        const Folder folder;
        State older(1), newer(2), loaded(0);
        save(folder.path(), older, 1);
        save(folder.path(), newer, 2);
        damage(folder / step_name(2));
        EXPECT_NE(error_of([&] { open_checkpoint(folder / step_name(2)); }).find(step_name(2)), std::string::npos);
        std::vector<std::string> skipped;
        const Checkpoint c = find_checkpoint(folder.path(), skipped);
        EXPECT_EQ(c.info.step, 1);
        EXPECT_EQ(skipped.size(), 1u);
        load_checkpoint(c, loaded.list(), false);
        EXPECT_TRUE(loaded == older);
        save(folder.path(), newer, 2, 1, false, 2);  // replaces the mangled one
        EXPECT_EQ(find_checkpoint(folder.path(), skipped).info.step, 2);
    }
}

TEST(Checkpoint, StateMustMatchNameByName) {
    const Folder folder;
    State state(1);
    save(folder.path(), state, 1);
    const Checkpoint c = open_checkpoint(folder / step_name(1));
    std::vector<float> x(100);
    const auto refuse = [&](std::vector<StateTensor> list, const char* name) {
        EXPECT_NE(error_of([&] { load_checkpoint(c, list, false); }).find(name), std::string::npos);
    };
    auto list = state.list();
    list.push_back(State::whole("extra", {1}, x.data()));
    refuse(list, "'extra'");
    EXPECT_EQ(load_checkpoint(c, {list[0], list[1], list[3]}, true), std::vector<std::string>{"extra"});
    refuse({list[0], list[2]}, "'b'");
    EXPECT_NE(error_of([&] { load_checkpoint(c, {list[0]}, true); }).find("'b'"), std::string::npos)
        << "an unknown weight";
    list = state.list();
    list[0].shape = {3, 2};
    refuse(list, "[2, 3]");
    list = state.list();
    list[0].dtype = "F64";
    refuse(list, "F64");
    EXPECT_NE(error_of([&] {
                  find_checkpoint(folder / "nowhere", *std::make_unique<std::vector<std::string>>());
              }).find("nowhere"),
              std::string::npos);
}

TEST(Checkpoint, KeepsTheNewestAndSweepsLeftovers) {
    const Folder folder;
    State state(1);
    fs::create_directories(folder / "step-00000099.tmp");
    fs::create_directories(folder / "step-00000001.trash");
    for (int step : {1, 2, 3, 4}) save(folder.path(), state, step, 1, false, 2);
    std::vector<std::string> names;
    for (const auto& entry : fs::directory_iterator(folder.path())) names.push_back(entry.path().filename());
    std::sort(names.begin(), names.end());
    EXPECT_EQ(names, (std::vector<std::string>{"LATEST", "step-00000003", "step-00000004"}));
}

TEST(Checkpoint, AFullDiskLosesNothing) {
    const Folder folder;
    State state(1);
    save(folder.path(), state, 1, 2);
    std::signal(SIGXFSZ, SIG_IGN);
    rlimit before, small{100, 100};
    getrlimit(RLIMIT_FSIZE, &before);
    small.rlim_max = before.rlim_max;
    setrlimit(RLIMIT_FSIZE, &small);
    const std::string error = error_of([&] { save(folder.path(), state, 2, 2); }, Exit::disk);
    setrlimit(RLIMIT_FSIZE, &before);
    EXPECT_NE(error.find("File too large"), std::string::npos);
    EXPECT_FALSE(fs::exists(folder / "step-00000002.tmp"));
    std::vector<std::string> skipped;
    EXPECT_EQ(find_checkpoint(folder.path(), skipped).info.step, 1);
    EXPECT_TRUE(skipped.empty());
}

TEST(Checkpoint, KilledAtAnyMomentOneIsWhole) {
    const Folder folder;
    State state(1);
    save(folder.path(), state, 1);
    for (int i = 0; i < 40; i++) {
        const pid_t child = fork();
        if (child == 0) {
            const auto comm = solo_comm();
            for (int64_t step = 2;; step++) {
                CheckpointWriter writer(folder.path(), false, 2);
                CheckpointInfo info;
                info.step = step;
                writer.begin(*comm, info, state.list());
                writer.finish(*comm);
            }
        }
        usleep(useconds_t(500 + 1733 * i % 30000));
        kill(child, SIGKILL);
        waitpid(child, nullptr, 0);
        std::vector<std::string> skipped;
        State loaded(0);
        load_checkpoint(find_checkpoint(folder.path(), skipped), loaded.list(), false);
        EXPECT_TRUE(loaded == state);
        EXPECT_TRUE(skipped.empty()) << skipped[0];
    }
}

TEST(Safetensors, RefusesWhatBreaksARule) {
    const Folder folder;
    const auto refuse = [&](const std::string& header, size_t data, int64_t length = -1) {
        std::ofstream out(folder / "f", std::ios::binary);
        const uint64_t n = length < 0 ? header.size() : uint64_t(length);
        out.write(reinterpret_cast<const char*>(&n), 8);
        out << header << std::string(data, 'x');
        out.close();
        error_of([&] { SafetensorsFile(folder / "f"); });
    };
    const std::string good = R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})";
    refuse(good, 7);
    refuse(good, 9);
    refuse(good, 8, 1 << 30);
    refuse(good, 8, int64_t{1} << 62);
    refuse("", 0);
    refuse("[]", 0);
    refuse(good + "{}", 8);
    refuse(good + std::string(1, '\0'), 8);
    refuse(
        R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"\u0061":{"dtype":"F32","shape":[0],"data_offsets":[8,8]}})",
        8);
    refuse(R"({"a":{"dtype":"F31","shape":[2],"data_offsets":[0,8]}})", 8);
    refuse(R"({"a":{"dtype":"F32","shape":[2.0],"data_offsets":[0,8]}})", 8);
    refuse(R"({"a":{"dtype":"F32","shape":[-2],"data_offsets":[0,8]}})", 8);
    refuse(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[8,0]}})", 8);
    refuse(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[4,12]}})", 12);
    refuse(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8],"x":1}})", 8);
    refuse(R"({"a":{"dtype":"F32","shape":[4611686018427387904,4],"data_offsets":[0,0]}})", 0);
    refuse(
        R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"b":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})",
        8);
    refuse(R"({"__metadata__":{"a":1}})", 0);
}

}  // namespace
}  // namespace sluice
