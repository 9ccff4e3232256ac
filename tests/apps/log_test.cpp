// What a run says of its speed: console and metrics tell the same numbers, and these belong together.
#include <cmath>
#include <cstring>
#include <ctime>

#include "apps/program.h"
#include "base/format.h"
#include "config/load.h"
#include "model/counts.h"
#include "support/matches.h"

namespace sluice {
namespace {

// The number that a pattern's first group holds, times what a letter behind it stands for.
double number_in(const std::string& text, const std::string& pattern) {
    const auto found = find_match(text, pattern);
    if (found.empty()) {
        ADD_FAILURE() << pattern << " is not in: " << text;
        return NAN;
    }
    const size_t power = found.size() > 2 ? std::string(" KMGTP").find(found[2]) : 0;
    return std::stod(found[1]) * std::pow(1000, power == std::string::npos ? 0 : double(power));
}

class Logs : public Program {};

TEST_F(Logs, ConsoleAndMetricsTellTheSame) {
    const Ended ended = run("train c.yaml log.every=3", 2);
    ASSERT_EQ(ended.code, 0) << ended.err;
    const auto steps = rows_with("loss");
    ASSERT_GE(steps.size(), 4u);
    for (const Json& row : steps) {
        const std::string step = "step " + row["step"].dump() + "/12";
        ASSERT_NE(ended.out.find(step), std::string::npos) << step;
        const std::string line = ended.out.substr(ended.out.find(step));
        const auto expect = [&](const char* key, const std::string& pattern, double unit, double error) {
            const double value = row[key].get<double>();
            EXPECT_NEAR(number_in(line, pattern) * unit, value, error * value) << key << " of " << step;
        };
        expect("loss", "loss ([0-9.]+)", 1, 1e-4);
        expect("grad_norm", "gn ([0-9.]+)", 1, 2e-3);
        expect("lr", "lr ([0-9.e+-]+)", 1, 1e-2);
        expect("tokens_per_second", "([0-9.]+)([KMG]?) tok/s", 1, 1e-2);
        EXPECT_NEAR(number_in(line, "mfu ([0-9.]+)%") / 100, row["mfu"].get<double>(), 6e-4) << step;
        const std::string left = format_seconds(row["seconds"].get<double>() * (12 - row["step"].get<double>()));
        if (left == "0ms") continue;
        EXPECT_NE(line.find("eta " + left + "\n"), std::string::npos) << left << " left after " << line;
    }
}

// Seconds since 1970, as TensorBoard shows them: the first event's, behind a record's length and its check.
TEST_F(Logs, TensorBoardKnowsTheTimeOfDay) {
    ASSERT_EQ(run("train c.yaml").code, 0);
    int files = 0;
    for (const auto& entry : fs::directory_iterator(folder_ / "runs/a")) {
        const std::string name = entry.path().filename();
        if (!name.starts_with("events.out.tfevents.")) continue;
        files++;
        const std::string bytes = text("runs/a/" + name);
        ASSERT_GT(bytes.size(), 21u);
        ASSERT_EQ(bytes[12], 9) << "field 1, eight bytes";
        double time = 0;
        std::memcpy(&time, bytes.data() + 13, sizeof time);
        EXPECT_NEAR(time, double(std::time(nullptr)), 86400);
    }
    EXPECT_EQ(files, 1);
}

TEST_F(Logs, SpeedsBelongTogether) {
    const Ended ended = run("train c.yaml log.every=3", 2);
    ASSERT_EQ(ended.code, 0) << ended.err;
    const double flops =
        flops_per_token(load_config((folder_ / "c.yaml").string(), {}, Purpose::plan).config.model, 16);
    for (const Json& row : rows_with("loss")) {
        const double rate = row["tokens_per_second"].get<double>();
        EXPECT_NEAR(row["seconds"].get<double>() * rate, 4 * 16, 1e-6) << "tokens of a step";
        EXPECT_NEAR(row["mfu"].get<double>() * row["gemm_flops_per_second"].get<double>(), rate * flops,
                    1e-6 * rate * flops);
        EXPECT_EQ(row["tokens"].get<int64_t>(), row["step"].get<int64_t>() * 4 * 16);
    }
}

}  // namespace
}  // namespace sluice
