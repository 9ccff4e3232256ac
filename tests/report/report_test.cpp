// What a report says: CSV, warnings, tables, figures, Markdown and the page that holds them.
#include <sstream>

#include "config/load.h"
#include "report/contents.h"
#include "report/csv.h"
#include "report/paper.h"
#include "report/studies.h"

namespace sluice {
namespace {

std::string line(const std::string& text, size_t n) {
    std::istringstream in(text);
    std::string line;
    for (size_t i = 0; i <= n; i++) std::getline(in, line);
    return line;
}

const Table& table_of(const Page& page, const std::string& id) {
    static const Table kNone;
    for (const Section& section : page.sections)
        for (const Table& table : section.tables)
            if (table.id == id) return table;
    ADD_FAILURE() << "no table " << id;
    return kNone;
}
const Figure& figure_of(const Page& page, const std::string& id) {
    static const Figure kNone;
    for (const Section& section : page.sections)
        for (const Figure& figure : section.figures)
            if (figure.id == id) return figure;
    ADD_FAILURE() << "no figure " << id;
    return kNone;
}

Config config_with(const std::string& model) {
    return load_config_text("model: {layers: 2, hidden: 64, heads: 4, vocab: 97, ffn: {hidden: 128}" + model + R"(}
data: {sequence_length: 16}
train: {steps: 100, batch: 4}
optimizer: {lr: 0.01}
)",
                            "test.yaml", {}, Purpose::plan)
        .config;
}

TEST(ReportCsv, HasARowAPoint) {
    Study study =
        study_of({{"base", 1, 3, {"a,b"}}, {"gate", 2, 2.5, {"c\"d"}, 1, PointState::partial}}, {"data.train"});
    study.points[1].run.series["probe/f_attn"] = {{1, 0.25}};
    study.probes = {"probe/f_attn"};
    const std::string csv = report_csv(study);
    EXPECT_EQ(line(csv, 0),
              "variant,data.train,seed,state,parameters,gates,tokens,loss,eval/held/loss,eval/held/perplexity,"
              "probe/f_attn,tokens_per_second,spikes");
    EXPECT_TRUE(has(line(csv, 1), "base,\"a,b\",1,done,1000,10,4096,3,3,")) << line(csv, 1);
    EXPECT_TRUE(has(line(csv, 2), "gate,\"c\"\"d\",2,partial,1000,10,4096,2.5,2.5,")) << line(csv, 2);
    EXPECT_TRUE(has(line(csv, 2), ",0.25,100,")) << line(csv, 2);
    EXPECT_EQ(line(csv, 3), "");
}

TEST(ReportCsv, NumbersReadBackToTheSameBits) {
    Study study = study_of({{"base", 1, 0.1 + 0.2}});
    const std::string csv = report_csv(study);
    EXPECT_TRUE(has(csv, ",0.30000000000000004,")) << csv;
}

TEST(ReportCsv, TheSummaryHasDifferencesOnTheSameSeeds) {
    const Study study = study_of({{"base", 1, 3}, {"base", 2, 4}, {"gate", 1, 2.5}, {"gate", 2, 3.5}});
    const std::string csv = summary_csv(study);
    EXPECT_EQ(
        line(csv, 0),
        "variant,n,eval/held/loss,eval/held/loss/difference,eval/held/loss/low,eval/held/loss/high,"
        "eval/held/perplexity,eval/held/perplexity/difference,eval/held/perplexity/low,eval/held/perplexity/high");
    EXPECT_TRUE(has(line(csv, 1), "base,2,3.5,,,,")) << line(csv, 1);
    EXPECT_TRUE(has(line(csv, 2), "gate,2,3,-0.5,-0.5,-0.5,")) << line(csv, 2);
}

TEST(ReportWarnings, SayWhatDecidesNothing) {
    EXPECT_TRUE(any_has(warnings_of(study_of({{"base"}, {"gate"}})), "One seed decides nothing"));
    const auto two = warnings_of(study_of({{"base", 1}, {"base", 2}, {"gate", 1, 2}, {"gate", 2, 4.5}}));
    EXPECT_TRUE(any_has(two, "Fewer than three seeds"));
    EXPECT_TRUE(any_has(two, "crosses zero: gate"));
    EXPECT_FALSE(any_has(two, "One seed"));
    const auto three = warnings_of(study_of(
        {{"base", 1, 3}, {"base", 2, 3.1}, {"base", 3, 3}, {"gate", 1, 2.9}, {"gate", 2, 3}, {"gate", 3, 2.9}}));
    EXPECT_TRUE(three.empty()) << three[0];
}

TEST(ReportWarnings, NameWhatDivergedFailedOrIsNotOver) {
    const auto warnings = warnings_of(study_of({{"base", 1},
                                                {"gate", 1, 9, {}, 1, PointState::diverged},
                                                {"wide", 1, 9, {}, 1, PointState::failed},
                                                {"low", 1, 9, {}, 1, PointState::partial}}));
    EXPECT_TRUE(any_has(warnings, "2 of 4 points are over"));
    EXPECT_TRUE(any_has(warnings, "Diverged, and in no mean: gate/seed-1."));
    EXPECT_TRUE(any_has(warnings, "Failed: wide/seed-1"));
    EXPECT_TRUE(any_has(warnings_of(study_of({{"base", 1, 3, {}, 1, PointState::partial}})), "No point is done yet"));
}

TEST(ReportWarnings, NameSizesThatDoNotMatch) {
    Study study = study_of({{"base"}, {"gate"}, {"near"}});
    study.points[1].parameters = 1100;
    study.points[1].tokens = 8192;
    study.points[2].parameters = 1009;
    const auto warnings = warnings_of(study);
    EXPECT_TRUE(any_has(warnings, "not matched to the baseline's: gate (+10.0 %)"));
    EXPECT_TRUE(any_has(warnings, "another number of tokens than the baseline: gate."));
}

TEST(ReportWarnings, SayWhereThereIsNothingToCompareWith) {
    const auto warnings = warnings_of(study_of({{"base", 1, 9, {}, 1, PointState::diverged}, {"gate"}}));
    EXPECT_TRUE(any_has(warnings, "No point of the baseline is done to compare with: gate."));
    Study study = study_of({{"base", 1, 3}, {"base", 2, 3}, {"gate", 1, 2}, {"gate", 2, 4}});
    study.evals.clear();
    EXPECT_TRUE(any_has(warnings_of(study), "There are no evaluations"));
    EXPECT_TRUE(any_has(warnings_of(study), "crosses zero: gate"));
}

// Seeds count that the baseline has too.
TEST(ReportWarnings, CountPairs) {
    const Study study = study_of({{"base", 1}, {"base", 2}, {"gate", 1, 2.9}, {"gate", 2, 2.8}, {"gate", 3, 2.7}});
    EXPECT_TRUE(any_has(warnings_of(study), "Fewer than three seeds, so that intervals are wide: gate."));
    const Page page = page_of(study);
    const Table& table = table_of(page, "results-0");
    const auto column = std::find(table.columns.begin(), table.columns.end(), "difference") - table.columns.begin();
    EXPECT_TRUE(table.rows[1][size_t(column)].text.ends_with("] of 2 seeds")) << table.rows[1][size_t(column)].text;
}

TEST(Report, ShowsTheDifferenceWithItsInterval) {
    const Page page = page_of(
        study_of({{"base", 1, 1}, {"base", 2, 1}, {"base", 3, 1}, {"gate", 1, 0}, {"gate", 2, 0.1}, {"gate", 3, 0.2}}));
    const Table& table = table_of(page, "results-0");
    ASSERT_EQ(table.rows.size(), 2u);
    const auto column = std::find(table.columns.begin(), table.columns.end(), "difference") - table.columns.begin();
    EXPECT_EQ(table.rows[0][size_t(column)].text, "-");
    EXPECT_EQ(table.rows[1][size_t(column)].text, "-1.61 [-1.88, -1.33]");
    const Figure& figure = figure_of(page, "differences-0");
    EXPECT_EQ(figure.categories, std::vector<std::string>{"gate"});
    EXPECT_NEAR(figure.series[0].points[0][0].get<double>(), -1.60942, 1e-5);
}

TEST(Report, CurvesAreThinnedAndKeepTheirEnds) {
    Study study = study_of({{"base"}});
    Series& loss = study.points[0].run.series["loss"];
    loss.clear();
    for (int step = 1; step <= 1201; step++) loss.emplace_back(step, 1.0 / step);
    const Page page = page_of(study);
    const Json& points = figure_of(page, "loss").series[0].points;
    EXPECT_LE(points.size(), 402u);
    EXPECT_EQ(points[0][0], 1);
    EXPECT_EQ(points.back()[0], 1201);
    EXPECT_EQ(points.back()[1].get<double>(), 1.0 / 1201);
}

TEST(Report, ProbesAreMeansOverSeedsAndByLayer) {
    Study study = study_of({{"base", 1}, {"base", 2}});
    for (size_t i = 0; i < 2; i++) {
        auto& run = study.points[i].run;
        run.config = config_with("");
        run.series["probe/f_attn"] = {{1, 0.2 + 0.2 * double(i)}};
        if (i == 0) run.series["probe/f_attn"].emplace_back(2, 0.9);  // the other has not come there yet
        run.series["probe/layers/1/f_attn"] = {{1, 0.1 + 0.2 * double(i)}};
        run.latest["probe/layers/0/gate_histogram"] = {{"low", 0.1}, {"width", 0.05}, {"shares", {0.25, 0.75}}};
    }
    const Page page = page_of(study);
    const Json& over_steps = figure_of(page, "steps-probe/f_attn").series[0].points;
    ASSERT_EQ(over_steps.size(), 1u);
    EXPECT_DOUBLE_EQ(over_steps[0][1].get<double>(), 0.3);
    const Json& by_layer = figure_of(page, "layers-f_attn").series[0].points;
    EXPECT_TRUE(by_layer[0].is_null());
    EXPECT_DOUBLE_EQ(by_layer[1].get<double>(), 0.2);
    const Json& histogram = figure_of(page, "histogram").series[0].points;
    EXPECT_DOUBLE_EQ(histogram[0][0].get<double>(), 0.125);
    EXPECT_DOUBLE_EQ(histogram[1][1].get<double>(), 0.75);
}

TEST(Report, InspectionsBecomeBarsAndMaps) {
    Study study = study_of({{"gate"}});
    study.points[0].run.inspection = parse_json(R"({"layers": [{"layer": 0,
        "sdpa": {"before": {"mean_abs": 2.0, "under": {"0.01": 0.1, "0.001": 0.0}}, "after": {"mean_abs": 0.5}, "mean_score": null},
        "map": {"tokens": ["a", "b"], "weights": [[1, 0], [0.25, 0.75]]}}, {"layer": 1, "sdpa": null}]})");
    const Page page = page_of(study);
    const Figure& bars = figure_of(page, "inspect-gate/seed-1-sdpa");
    ASSERT_EQ(bars.series.size(), 2u);
    EXPECT_EQ(bars.series[1].points[0], 0.5);
    EXPECT_TRUE(bars.series[1].points[1].is_null());
    const Figure& map = figure_of(page, "inspect-gate/seed-1-map-0");
    EXPECT_EQ(map.categories, (std::vector<std::string>{"a", "b"}));
    EXPECT_EQ(map.series[0].points[1][0], 0.25);
}

TEST(Report, PutsThePapersRowsBesideOurs) {
    Study study = study_of({{"base", 1, 3}, {"gate", 1, 2.9}, {"odd", 1, 2.8}});
    study.points[0].run.config = config_with("");
    study.points[1].run.config = config_with(", gates: [{position: sdpa, granularity: headwise}]");
    study.points[2].run.config = config_with(", gates: [{position: sdpa}, {position: value}]");
    const Page page = page_of(study);
    const Table& table = table_of(page, "paper");
    ASSERT_EQ(table.rows.size(), 3u);
    EXPECT_EQ(table.rows[0][1].text, "Table 1: baseline");
    EXPECT_EQ(table.rows[0][7].text, "1.00");
    EXPECT_EQ(table.rows[1][1].text, "Table 1: sdpa headwise");
    EXPECT_NEAR(*table.rows[1][2].value, std::exp(-0.1), 1e-9);
    EXPECT_NEAR(*table.rows[1][3].value, 5.792 / 6.026, 1e-9);
    EXPECT_EQ(table.rows[1][9].text, "0.073");
    EXPECT_EQ(table.rows[2][1].text, "Table 2: sdpa headwise, 48 layers at 4e-3");
    EXPECT_NEAR(*table.rows[2][3].value, 7.370 / 7.421, 1e-9);
    EXPECT_EQ(table_of(page, "differences").rows[0][0].text, "model.gates");
}

TEST(Report, RowsOfThePaperAreKnownByTheirChange) {
    const Config experts = config_with(", moe: {experts: 4, top_k: 2, hidden: 8}");
    const auto row = [&](const std::string& model) {
        const auto rows = paper_rows(config_with(", moe: {experts: 4, top_k: 2, hidden: 8}" + model), experts, 1e-3);
        return rows.size() == 1 ? rows[0].name : std::to_string(rows.size());
    };
    EXPECT_EQ(row(""), "0");
    EXPECT_EQ(row(", gates: [{position: sdpa}]"), "Table 1: sdpa elementwise");
    EXPECT_EQ(row(", gates: [{position: sdpa, input: none}]"), "Table 4: sdpa input-independent");
    EXPECT_EQ(row(", gates: [{position: sdpa, activation: ns_sigmoid}]"), "Table 4: sdpa elementwise ns_sigmoid");
    EXPECT_EQ(row(", gates: [{position: sdpa, combine: add, activation: identity}]"),
              "Table 3: sdpa additive identity");
    EXPECT_EQ(row(", gates: [{position: value, heads: averaged}]"), "Table 1: value averaged over heads");
    EXPECT_EQ(row(", gates: [{position: sdpa, scale: 2}]"), "0");
    EXPECT_EQ(row(", gates: {0: [{position: sdpa}]}"), "0");
    EXPECT_EQ(row(", attention: {sdpa_norm: rmsnorm}"), "Table 3: sdpa_norm rmsnorm");
    EXPECT_EQ(row(", switch_heads: {target: v, experts: 8, top_k: 2}"), "Table 6: switch v, 8 top 2");
    EXPECT_EQ(row(", switch_heads: {target: kv, experts: 8, top_k: 2}"), "0");
    EXPECT_EQ(row(", switch_heads: {target: v, experts: 8, top_k: 2}, gates: [{position: sdpa}]"), "0");
    EXPECT_EQ(row(", sandwich_norm: true"), "0");
    const Config small = config_with(", kv_heads: 2");
    EXPECT_EQ(paper_rows(config_with(", kv_heads: 4"), small, 1e-3)[0].name, "Table 1: k=8");
    EXPECT_TRUE(paper_rows(small, small, 1e-3).empty());
    const Config gated = config_with(", gates: [{position: sdpa}]");
    EXPECT_TRUE(paper_rows(small, gated, 1e-3).empty());
    EXPECT_FALSE(paper_baseline(gated));
}

TEST(Report, RowsOfDenseModelsAreKnownByDepthRateAndTokens) {
    const Config baseline = config_with("");
    const auto dense = [&](const std::string& model, int64_t layers, double rate, double tokens) {
        Config config = config_with(model);
        config.model.layers = layers;
        config.optimizer.lr = rate;
        config.train.batch = 1024;
        config.data.sequence_length = 4096;
        config.train.steps = int64_t(tokens / (1024 * 4096));
        const auto rows = paper_rows(config, baseline, 4e-3);
        return rows.empty() ? std::string() : rows.back().name;
    };
    const std::string gated = ", gates: [{position: sdpa}]";
    EXPECT_EQ(dense(gated, 28, 4e-3, 400e9), "Table 2: sdpa elementwise, 28 layers at 4e-3");
    EXPECT_EQ(dense(gated, 28, 4.5e-3, 3500e9), "Table 2: sdpa elementwise, 28 layers at 4.5e-3, 3.5T tokens");
    EXPECT_EQ(dense(gated, 48, 5.3e-3, 1000e9), "Table 2: sdpa elementwise, 48 layers at 5.3e-3, 1T tokens");
    EXPECT_EQ(dense(gated, 28, 4e-3, 1e9), "Table 2: sdpa elementwise, 48 layers at 4e-3");
    EXPECT_EQ(dense(gated, 4, 7.9e-3, 1e9), "Table 2: sdpa elementwise, 48 layers at 4e-3");
    EXPECT_EQ(dense(gated, 4, 8e-3, 1e9), "Table 2: sdpa elementwise, 48 layers at 8e-3");
    EXPECT_EQ(dense(", sandwich_norm: true", 4, 1.6e-2, 1e9), "Table 2: sandwich norm, 48 layers at 8e-3");
    EXPECT_EQ(dense(", sandwich_norm: true", 4, 4e-3, 1e9), "");
    EXPECT_EQ(dense(", residual_clip: 300", 4, 1.6e-2, 1e9), "");
}

TEST(Report, NamesCannotEndTheirElement) {
    Study study = study_of({{"</script><script>alert(1)</script>"}});
    study.name = "<b>&";
    const std::string html = html_of(page_of(study));
    EXPECT_FALSE(has(html, "<script>alert"));
    EXPECT_TRUE(has(html, "\\u003c/script>")) << html;
    EXPECT_TRUE(has(html, "<h1>&lt;b>&amp;</h1>")) << html;
}

TEST(Report, ThePageAsksForNothingOutsideIt) {
    const std::string html = html_of(page_of(study_of({{"base"}})));
    EXPECT_TRUE(has(html, "Content-Security-Policy\" content=\"default-src 'none'"));
    for (const char* asks : {"<script src", "<link", "<img", "@import"}) EXPECT_FALSE(has(html.substr(0, 20000), asks));
}

TEST(Report, MarkdownHasTheTables) {
    Study study = study_of({{"base|x", 1}, {"gate", 1, 2}});
    const std::string text = markdown_of(page_of(study));
    EXPECT_TRUE(has(text, "# made\n")) << text;
    EXPECT_TRUE(has(text, "- One seed decides nothing")) << text;
    EXPECT_TRUE(has(text, "| base\\|x (baseline) | 1 of 1 |")) << text;
}

}  // namespace
}  // namespace sluice
