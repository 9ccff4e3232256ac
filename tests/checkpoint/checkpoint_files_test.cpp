// Checkpoints' files: large ones, many digits, what a digest tells apart, what `keep` counts.
#include <gtest/gtest.h>

#include <fstream>
#include <numeric>

#include "base/check.h"
#include "base/file.h"
#include "checkpoint/checkpoint_writer.h"
#include "checkpoint/manifest.h"
#include "checkpoint/safetensors.h"
#include "support/folder.h"

namespace sluice {
namespace {

namespace fs = std::filesystem;

void save(const fs::path& folder, std::vector<float> values, int64_t step, int64_t keep = 0) {
    const std::vector<int64_t> shape{int64_t(values.size())};
    const Box box{{0}, shape};
    const auto comm = solo_comm();
    CheckpointWriter writer(folder, false, keep);
    CheckpointInfo info;
    info.step = step;
    info.config_yaml = "run: {}\n";
    writer.begin(*comm, info, {{"a", "F32", shape, box, values.data(), box}});
    writer.finish(*comm);
}
std::string digest(const std::vector<float>& values) {
    const Folder folder;
    save(folder.path(), values, 1);
    return open_checkpoint(folder / step_name(1)).info.digest;
}

TEST(CheckpointFiles, LargerThanTheBufferAreVerifiedToTheEnd) {
    const Folder folder;
    std::vector<float> values(size_t{5} << 18);  // 5 MiB
    std::iota(values.begin(), values.end(), 0.0f);
    save(folder.path(), values, 1);
    EXPECT_NO_THROW(open_checkpoint(folder / step_name(1)));
    const fs::path file = folder / step_name(1) / "rank-00000.safetensors";
    std::fstream out(file, std::ios::in | std::ios::out | std::ios::binary);
    out.seekp(-3, std::ios::end);
    out.put('x');
    out.close();
    EXPECT_THROW(open_checkpoint(folder / step_name(1)), Failure);
}

TEST(CheckpointFiles, TheNewestHasTheHighestNumberHoweverManyDigits) {
    const Folder folder;
    for (const int64_t step : {99'999'999, 100'000'000, 20'000'000}) save(folder.path(), {1}, step);
    std::vector<std::string> names;
    for (const auto& path : list_checkpoints(folder.path())) names.push_back(path.filename());
    EXPECT_EQ(names, (std::vector<std::string>{"step-100000000", "step-99999999", "step-20000000"}));
}

TEST(CheckpointFiles, ADigestTellsPlacesApart) {
    EXPECT_EQ(digest({1, 2, 3}), digest({1, 2, 3}));
    EXPECT_NE(digest({1, 2, 3}), digest({1, 3, 2})) << "the same values elsewhere";
    EXPECT_NE(digest({1, 2, 3}), digest({1, 2, 3, 0}));
    EXPECT_NE(digest({0, 0, 0}), digest({0, 0, -0.0f})) << "one bit";
}

TEST(CheckpointFiles, DamagedOnesDoNotCountAsKept) {
    const Folder folder;
    for (const int64_t step : {1, 2, 3}) save(folder.path(), {1}, step);
    fs::resize_file(folder / step_name(3) / "rank-00000.safetensors", 10);
    save(folder.path(), {1}, 4, 2);
    EXPECT_TRUE(fs::exists(folder / step_name(4)));
    EXPECT_TRUE(fs::exists(folder / step_name(2))) << "the second whole one";
    EXPECT_FALSE(fs::exists(folder / step_name(1)));
}

// With a manifest that holds the hash of such a file.
TEST(CheckpointFiles, TensorsThatTheManifestDoesNotKnowAreRefused) {
    const Folder folder;
    save(folder.path(), {1, 2}, 1);
    const fs::path step = folder / step_name(1);
    Manifest m = parse_manifest(read_file(step / "manifest.json", 4, 1 << 20));
    const float values[] = {1, 2};
    const auto data = [&] { return values; };
    const TensorData known{"a", "F32", {2}, data, 8}, stranger{"b", "F32", {2}, data, 8};
    for (const auto& tensors : {std::vector<TensorData>{known}, {known, stranger}}) {
        m.files["rank-00000.safetensors"] = write_safetensors(step / "rank-00000.safetensors", tensors);
        write_file(step / "manifest.json", manifest_text(m));
        if (tensors.size() == 1)
            EXPECT_NO_THROW(open_checkpoint(step));
        else
            EXPECT_THROW(open_checkpoint(step), Failure);
    }
}

TEST(CheckpointFiles, LatestNamesTheNewest) {
    const Folder folder;
    for (const int64_t step : {7, 9}) {
        save(folder.path(), {1}, step);
        EXPECT_EQ(read_file(folder / "LATEST", 4, 100), step_name(step) + "\n");
    }
}

}  // namespace
}  // namespace sluice
