// What a run reads is known again by what it holds, and every change of it is told in words.
#include "checkpoint/data_record.h"

#include <gtest/gtest.h>

#include <fstream>
#include <numeric>

#include "base/json.h"
#include "checkpoint/manifest.h"
#include "data/shard_set.h"
#include "support/folder.h"
#include "support/state.h"

namespace sluice {
namespace {

std::vector<int32_t> ids(int64_t count, int32_t seed) {
    std::vector<int32_t> ids(static_cast<size_t>(count));
    for (size_t i = 0; i < ids.size(); i++) ids[i] = int32_t((i * 31 + size_t(seed) * 7) % 97);
    return ids;
}

class Record : public testing::Test {
 protected:
    void SetUp() override {
        fs::create_directories(folder_ / "data");
        for (int i = 0; i < 4; i++) shard(i, 100 + i, i);
    }
    void shard(int i, int64_t tokens, int32_t seed) { write_shard(file(i), ids(tokens, seed), 97); }
    fs::path file(int i) const { return folder_ / "data" / ("s" + std::to_string(i) + ".bin"); }
    SourceRecord source(const std::string& path = "") const {
        DataSpec spec;
        spec.train = {{path.empty() ? (folder_ / "data").string() : path, 1}};
        spec.sequence_length = 16;
        return record_data(spec, TrainingData(spec, 97, 1), {}).train[0];
    }
    const Folder folder_;
};

TEST_F(Record, TellsEveryChange) {
    const SourceRecord before = source();
    ASSERT_EQ(before.shards.size(), 4u);
    EXPECT_EQ(source_change(before, source()), "");
    shard(9, 50, 9);
    EXPECT_EQ(source_change(before, source()), "was added: s9.bin (50 tokens)");
    fs::remove(file(9));
    fs::rename(file(2), folder_ / "kept");
    EXPECT_EQ(source_change(before, source()), "is no longer there: s2.bin (102 tokens)");
    shard(2, 102, 77);
    EXPECT_EQ(source_change(before, source()), "holds other tokens: s2.bin (102 tokens)");
    shard(2, 60, 2);
    EXPECT_EQ(source_change(before, source()), "holds other tokens: s2.bin (102 -> 60 tokens)");
    shard(9, 50, 9);
    EXPECT_EQ(source_change(before, source()),
              "holds other tokens: s2.bin (102 -> 60 tokens), was added: s9.bin (50 tokens)");
    fs::remove(file(9));
    fs::remove(file(2));
    fs::create_symlink(file(1), file(2));  // a link that points elsewhere
    EXPECT_EQ(source_change(before, source()), "holds other tokens: s2.bin (102 -> 101 tokens)");
    fs::remove(file(2));
    fs::create_symlink("../kept", file(2));
    EXPECT_EQ(source_change(before, source()), "") << "the same through a link";
    fs::rename(file(0), file(8));
    EXPECT_EQ(source_change(before, source()), "its shards stand in another order");
}

TEST_F(Record, NamesAndPlacesAreNoChange) {
    const SourceRecord before = source();
    for (int i = 0; i < 4; i++) fs::rename(file(i), folder_ / "data" / ("t" + std::to_string(i) + ".bin"));
    fs::rename(folder_ / "data", folder_ / "elsewhere");
    EXPECT_EQ(source_change(before, source((folder_ / "elsewhere" / "t*.bin").string())), "");
}

TEST_F(Record, TwoAlikeAreTwo) {
    shard(5, 100, 0);  // as s0
    const SourceRecord before = source();
    fs::remove(file(5));
    EXPECT_EQ(source_change(before, source()), "is no longer there: s5.bin (100 tokens)");
}

// Of a long shard stretches are read: its start, its end, and some between.
TEST_F(Record, ALongShardIsKnownByItsStretches) {
    const int64_t tokens = 20 * kSampledTokens;
    auto all = ids(tokens, 1);
    const auto record = [&] {
        write_shard(file(0), all, 97);
        return source(file(0).string()).shards[0].sample;
    };
    const std::string before = record();
    for (const int64_t at : {int64_t{0}, tokens - 1, (tokens - kSampledTokens / 8) / 7}) {
        all[size_t(at)] = 96 - all[size_t(at)];
        EXPECT_NE(record(), before) << at;
        all[size_t(at)] = 96 - all[size_t(at)];
    }
    std::rotate(all.begin(), all.begin() + 1, all.end());
    EXPECT_NE(record(), before) << "one token further on";
}

TEST_F(Record, ASetsHashCountsForAllOfIt) {
    auto before = source();
    for (auto& s : before.shards) s.hash = "a" + s.file;
    auto now = before;
    EXPECT_EQ(source_change(before, now), "");
    now.shards[3].hash = "b";
    EXPECT_EQ(source_change(before, now), "holds other tokens: s3.bin (103 tokens)");
    now.shards[3].hash = "";  // its NAME.json is gone
    EXPECT_EQ(source_change(before, now), "");
    now.shards[1].documents = before.shards[1].documents = "x";
    EXPECT_EQ(source_change(before, now), "");
    now.shards[1].documents = "y";
    EXPECT_EQ(source_change(before, now), "holds other tokens: s1.bin (101 tokens)");
}

TEST_F(Record, DocumentsCountWhereTheyAreAskedFor) {
    const auto write = [&](std::vector<int64_t> lengths) {
        ShardWriter writer(folder_ / "data" / "d.bin", 97);
        for (const int64_t n : lengths) {
            writer.begin_document(n);
            writer.add(ids(n, 0).data(), n);
        }
        writer.close();
    };
    DataSpec spec;
    spec.train = {{(folder_ / "data" / "d.bin").string(), 1}};
    spec.sequence_length = 16;
    const auto record = [&] { return record_data(spec, TrainingData(spec, 97, 1), {}).train[0].shards[0]; };
    write({97, 97});
    EXPECT_EQ(record().documents, "");
    spec.document_mask = true;
    const ShardRecord before = record();
    write({97 * 2});
    EXPECT_EQ(record().sample, before.sample);
    EXPECT_NE(record().documents, before.documents);
}

TEST_F(Record, RanksThatReadOtherShardsEndInOrder) {
    fs::create_directories(folder_ / "there");
    for (const bool alike : {true, false}) {
        write_shard(folder_ / "there" / "s.bin", ids(alike ? 100 : 101, 0), 97);
        testing::internal::CaptureStderr();
        run_threads(3, [&](Comm& comm) {
            DataSpec spec;
            spec.train = {{comm.rank() == 2 ? (folder_ / "there" / "s.bin").string() : file(0).string(), 1}};
            spec.sequence_length = 16;
            EXPECT_EQ(refuse_other_data(comm, TrainingData(spec, 97, 1), 1), alike ? 0 : int(Exit::data));
        });
        const std::string told = testing::internal::GetCapturedStderr();
        EXPECT_EQ(told.find("rank 2 finds other training shards") == std::string::npos, alike) << told;
    }
}

TEST_F(Record, StandsInAManifest) {
    Manifest m;
    m.files["f"] = {};
    m.tensors["t"] = {"F32", {0}, {}};
    m.info.data.train = {source(), source(file(1).string())};
    m.info.data.train[0].shards[1].hash = "h";
    m.info.data.validation = {source(file(2).string())};
    m.info.branch = {"runs/a", "digest", 20};
    const Manifest read = parse_manifest(manifest_text(m));
    EXPECT_EQ(manifest_text(read), manifest_text(m));
    ASSERT_EQ(read.info.data.train.size(), 2u);
    EXPECT_EQ(read.info.data.train[0].shards[1].hash, "h");
    EXPECT_EQ(source_change(read.info.data.validation[0], m.info.data.validation[0]), "");
    EXPECT_EQ(read.info.branch->step, 20);
    // A manifest of before has none of it.
    Json old = parse_json(manifest_text(m));
    old.erase("branch");
    old["data"] = {{"samples", 3}};
    const Manifest before = parse_manifest(old.dump());
    EXPECT_TRUE(before.info.data.train.empty());
    EXPECT_FALSE(before.info.branch.has_value());
    old["data"]["train"] = 3;
    EXPECT_THROW(parse_manifest(old.dump()), JsonError);
}

}  // namespace
}  // namespace sluice
