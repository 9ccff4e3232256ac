// What a run says of its data on its console: once, whatever the number of ranks.
#include "apps/program.h"

namespace sluice {
namespace {

TEST_F(Program, TellsOnceWhatItsDataLeaveOut) {
    const Ended both = run("train c.yaml train.steps=2 data.sequence_length=150", 2);
    ASSERT_EQ(both.code, 0) << both.err;
    EXPECT_NE(both.out.find("train train.bin | 100 of 401 tokens (24.9%) are in no sample"), std::string::npos)
        << both.out;
    EXPECT_NE(both.out.find("validation held | 0 of 401 tokens (0%) are not evaluated"), std::string::npos) << both.out;
    for (const std::string warning : {"data.train train.bin: 100 of 401 tokens (24.9%) are in no sample",
                                      "data.validation held: 1 of its 1 shards are trained on too"}) {
        const size_t at = both.err.find(warning);
        EXPECT_NE(at, std::string::npos) << both.err;
        EXPECT_EQ(both.err.find(warning, at + 1), std::string::npos) << both.err;
        EXPECT_NE(text("runs/a/log.txt").find(warning), std::string::npos) << warning;
    }
    const Ended none = run("train c.yaml run.name=none data.sequence_length=401");
    EXPECT_EQ(none.code, 3);
    EXPECT_NE(none.err.find("train.bin: no shard has the 402 tokens of one sample"), std::string::npos) << none.err;
}

}  // namespace
}  // namespace sluice
