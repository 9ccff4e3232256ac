// What a run tells of its data: tokens in no sample, and validation sets that are trained on.
#include "data/data_report.h"

#include <gtest/gtest.h>

#include "data/shards.h"
#include "support/folder.h"

namespace sluice {
namespace {

std::string joined(const std::vector<std::string>& lines) {
    std::string all;
    for (const std::string& line : lines) all += line + "\n";
    return all;
}
DataReport report(const DataSpec& data, int64_t batches = 0) {
    Config config;
    config.data = data;
    config.eval.batches = batches;
    config.train.batch = 1;
    std::vector<ValidationData> sets;
    for (const ValidationSet& set : data.validation) sets.emplace_back(data, set, 1000);
    return report_data(config, TrainingData(data, 1000, 1), sets);
}

TEST(DataReport, CountsTheTokensThatNoSampleReaches) {
    EXPECT_EQ(tokens_in_no_sample(0, 4), 0);
    EXPECT_EQ(tokens_in_no_sample(4, 4), 4);
    EXPECT_EQ(tokens_in_no_sample(5, 4), 0);
    EXPECT_EQ(tokens_in_no_sample(8, 4), 3);
    EXPECT_EQ(tokens_in_no_sample(9, 4), 0);
    const Folder folder;
    write_shard(folder / "a_0.bin", count_from(0, 401), 1000);
    write_shard(folder / "a_1.bin", count_from(0, 4), 1000);
    DataSpec data = spec({{(folder / "a_*.bin").string(), 1}}, 4);
    DataReport told = report(data);
    EXPECT_NE(joined(told.lines).find("a_*.bin | 4 of 405 tokens (0.988%) are in no sample"), std::string::npos)
        << joined(told.lines);
    EXPECT_EQ(joined(told.warnings), "") << "below a hundredth";
    write_shard(folder / "a_2.bin", count_from(0, 3), 1000);
    told = report(data);
    for (const char* part : {"a_*.bin: 7 of 408 tokens (1.72%)", "2 of 3 shards are shorter than the 5 tokens",
                             "--shard-tokens", "data.sequence_length"})
        EXPECT_NE(joined(told.warnings).find(part), std::string::npos) << joined(told.warnings);
    data.train = {{(folder / "a_0.bin").string(), 1}};
    data.sequence_length = 250;  // one shard, whose end is lost
    told = report(data);
    EXPECT_NE(joined(told.warnings).find("150 of 401 tokens (37.4%)"), std::string::npos) << joined(told.warnings);
    EXPECT_NE(joined(told.warnings).find("end that does not fill"), std::string::npos) << joined(told.warnings);
    // Evaluation leaves out what eval.batches says, of which nobody need be warned.
    write_shard(folder / "v.bin", count_from(500, 21), 1000);
    data.sequence_length = 4;
    data.validation = {{"v", (folder / "v.bin").string()}};
    EXPECT_NE(joined(report(data).lines).find("validation v | 0 of 21 tokens (0%)"), std::string::npos);
    told = report(data, 2);
    EXPECT_NE(joined(told.lines).find("12 of 21 tokens (57.1%) are not evaluated: eval.batches is 2"),
              std::string::npos)
        << joined(told.lines);
    EXPECT_EQ(joined(told.warnings), "");
}

TEST(DataReport, OnlyShortShardsAreRefusedAsThat) {
    const Folder folder;
    write_shard(folder / "a_0.bin", count_from(0, 40), 1000);
    write_shard(folder / "a_1.bin", count_from(0, 64), 1000);
    const std::string why = data_error([&] { TrainingData(spec({{(folder / "a_*.bin").string(), 1}}, 64), 1000, 1); });
    for (const char* part : {"a_*.bin: ", "65 tokens of one sample", "2 shards hold 104 tokens, at most 64 each",
                             "--shard-tokens", "data.sequence_length"})
        EXPECT_NE(why.find(part), std::string::npos) << why;
}

TEST(DataReport, AValidationSetThatIsTrainedOnIsWarnedAbout) {
    const Folder train, other, foreign;
    write_set(train);
    const auto warnings = [&](const std::string& source, const std::string& set) {
        DataSpec data = spec({{source, 1}}, 2);
        data.validation = {{"held", set}};
        const auto told = report(data).warnings;
        std::string found;
        for (const std::string& line : told)
            if (line.find("data.validation") != line.npos) found += line;
        return found;
    };
    const std::string folder = train.path().string();
    // The same file under another path, by a link, as a copy with a set beside it, and as foreign shards.
    EXPECT_NE(warnings(folder, (train / "v_000001.bin").string())
                  .find("data.validation held: 1 of its 1 shards are trained on too, by data.train " + folder),
              std::string::npos)
        << warnings(folder, (train / "v_000001.bin").string());
    EXPECT_NE(warnings((train / "v_*.bin").string(), (train / "v.json").string()).find("2 of its 2"),
              std::string::npos);
    std::filesystem::create_symlink(train / "v_000000.bin", foreign / "link.bin");
    EXPECT_NE(warnings(folder, (foreign / "link.bin").string()), "");
    write_set(other);
    EXPECT_NE(warnings(folder, other.path().string()).find("2 of its 2"), std::string::npos);
    write_shard(foreign / "copy.bin", count_from(0, 7), 100);
    EXPECT_NE(warnings(folder, (foreign / "copy.bin").string()), "");
    write_shard(foreign / "wide.bin", count_from(0, 7), 100000);
    EXPECT_NE(warnings((foreign / "copy.bin").string(), (foreign / "wide.bin").string()), "");
    write_shard(foreign / "own.bin", count_from(1, 7), 100);
    EXPECT_EQ(warnings(folder, (foreign / "own.bin").string()), "");
    EXPECT_EQ(warnings((foreign / "copy.bin").string(), (foreign / "own.bin").string()), "");
}

}  // namespace
}  // namespace sluice
