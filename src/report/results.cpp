#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/format.h"
#include "report/contents.h"
#include "report/paper.h"
#include "report/statistics.h"

namespace sluice {
namespace {

Cell nothing() { return {"-", {}}; }
Cell number(const std::optional<double>& value, int digits) {
    return value ? Cell{fmt::format("{:.{}f}", *value, digits), value} : nothing();
}
Cell mean_cell(const std::optional<Interval>& interval, int digits) {
    return interval ? number(interval->mean, digits) : nothing();
}
// With as many decimals as the wider bound needs for three digits.
// done: points of the variant. Where not all of them have a baseline's of the same seed, it says how many do.
Cell difference_cell(const std::optional<Interval>& difference, int done) {
    if (!difference) return nothing();
    const double low = difference->low.value_or(difference->mean), high = difference->high.value_or(difference->mean);
    const double largest = std::max(std::abs(low), std::abs(high));
    const int digits = largest > 0 ? std::clamp(2 - int(std::floor(std::log10(largest))), 0, 6) : 0;
    std::string text = fmt::format("{:+.{}f}", difference->mean, digits);
    if (difference->low) text += fmt::format(" [{:+.{}f}, {:+.{}f}]", low, digits, high, digits);
    if (difference->n < done) text += " of " + counted(difference->n, "seed");
    return {text, difference->mean};
}

Cell added_parameters(const Group& group, const Group* baseline) {
    const auto own = group.points[0]->parameters;
    const auto other = baseline ? baseline->points[0]->parameters : std::nullopt;
    if (!own || !other) return nothing();
    const int64_t added = *own - *other;
    return {added == 0 ? "0" : (added < 0 ? "-" : "+") + format_count(std::abs(double(added))), double(added)};
}

Cell relative_rate(const Group& group, const Group* baseline) {
    const Measure rate = [](const StudyPoint& point) { return point.run.median("tokens_per_second"); };
    const auto own = mean_of(group, rate);
    const auto other = baseline ? mean_of(*baseline, rate) : std::nullopt;
    return own && other ? number(own->mean / other->mean, 2) : nothing();
}

// The paper's M-Act: the largest magnitude of the residual behind a layer, as a mean over layers.
std::optional<double> m_act(const StudyPoint& point) {
    double sum = 0;
    int64_t layers = 0;
    while (const auto of_layer = point.run.last(fmt::format("probe/layers/{}/m_act", layers))) {
        sum += *of_layer;
        layers++;
    }
    return layers > 0 ? std::optional(sum / double(layers)) : std::nullopt;
}

Cell spikes_cell(const Group& group) {
    std::optional<int64_t> spikes;
    for (const StudyPoint* point : group.points)
        if (point->spikes) spikes = spikes.value_or(0) + *point->spikes;
    return spikes ? Cell{std::to_string(*spikes), double(*spikes)} : nothing();
}

int done_of(const Group& group) {
    return int(std::count_if(group.points.begin(), group.points.end(), [](const StudyPoint* p) { return p->counts; }));
}

Cell state_cell(const Group& group) {
    const int done = done_of(group);
    int diverged = 0;
    for (const StudyPoint* point : group.points) diverged += point->status.state == PointState::diverged;
    std::string text = fmt::format("{} of {}", done, group.points.size());
    if (diverged > 0) text += fmt::format(", {} diverged", diverged);
    return {text, double(done)};
}

class Results {
 public:
    explicit Results(const Study& study)
        : study_(study),
          groups_(study.groups()),
          sets_(study.sets()),
          perplexity_(mean_over_sets(study, "perplexity")) {}

    Section section() const {
        Section section{"Results", {}, {}};
        std::vector<std::string> combinations;
        for (const Group& group : groups_)
            if (std::find(combinations.begin(), combinations.end(), group.combination) == combinations.end())
                combinations.push_back(group.combination);
        for (size_t i = 0; i < combinations.size(); i++) {
            section.tables.push_back(table(combinations[i], i));
            if (study_.sweep && !sets_.empty()) add_intervals(section, combinations[i], i);
        }
        if (Table paper = beside_paper(); !paper.rows.empty()) section.tables.push_back(std::move(paper));
        return section;
    }

 private:
    const Group* baseline(const Group& group) const { return baseline_of(study_, groups_, group); }
    bool is_baseline(const Group& group) const { return group.variant == study_.baseline; }
    bool marked(const Group& group) const { return study_.sweep && is_baseline(group) && group.variant != "baseline"; }
    std::optional<Interval> difference(const Group& group, const Measure& measure) const {
        const Group* other = baseline(group);
        return other && !is_baseline(group) ? difference_of(group, *other, measure) : std::nullopt;
    }
    static std::string at(const std::string& combination) { return combination.empty() ? "" : " at " + combination; }

    Table table(const std::string& combination, size_t number_of) const {
        Table table{fmt::format("results-{}", number_of), "Variants" + at(combination), "", {}, {}};
        table.note =
            "Means over the seeds that are done. Differences to the baseline are of the same seeds, with Student's 95 "
            "% interval where there are two seeds or more; below 0 is better. Training loss: difference on the same "
            "batches, over the last quarter of the logged steps. M-Act: the largest magnitude of the residual, as a "
            "mean over layers. Spikes are counted over all seeds.";
        table.columns = {"variant", "done", "parameters", "added"};
        for (const std::string& set : sets_) table.columns.push_back("perplexity " + set);
        if (sets_.size() > 1) table.columns.push_back("mean perplexity");
        if (study_.sweep) {
            table.columns.push_back("difference");
            table.columns.push_back("training loss, difference");
        }
        for (const char* column : {"gate score", "M-Act", "F-Attn", "relative tokens/s", "spikes"})
            table.columns.push_back(column);
        for (const Group& group : groups_)
            if (group.combination == combination) table.rows.push_back(row(group));
        return table;
    }

    std::vector<Cell> row(const Group& group) const {
        std::vector<Cell> row{{group.variant + (marked(group) ? " (baseline)" : ""), {}}, state_cell(group)};
        const auto parameters = group.points[0]->parameters;
        row.push_back(parameters ? Cell{format_count(double(*parameters)), double(*parameters)} : nothing());
        row.push_back(added_parameters(group, baseline(group)));
        for (const std::string& set : sets_)
            row.push_back(mean_cell(mean_of(group, last_of("eval/" + set + "/perplexity")), 3));
        if (sets_.size() > 1) row.push_back(mean_cell(mean_of(group, perplexity_), 3));
        if (study_.sweep) {
            row.push_back(difference_cell(difference(group, perplexity_), done_of(group)));
            const Group* other = baseline(group);
            row.push_back(difference_cell(
                other && !is_baseline(group) ? training_difference(group, *other) : std::nullopt, done_of(group)));
        }
        row.push_back(mean_cell(mean_of(group, last_of("probe/gate_mean")), 3));
        row.push_back(mean_cell(mean_of(group, m_act), 2));
        row.push_back(mean_cell(mean_of(group, last_of("probe/f_attn")), 3));
        row.push_back(relative_rate(group, baseline(group)));
        row.push_back(spikes_cell(group));
        return row;
    }

    void add_intervals(Section& section, const std::string& combination, size_t number_of) const {
        Figure figure{fmt::format("differences-{}", number_of),
                      "Difference of the mean perplexity" + at(combination),
                      "",
                      FigureKind::intervals,
                      "",
                      "difference to " + study_.baseline,
                      {},
                      {{"difference", "difference", Json::array()}}};
        figure.note = "Dots are means over seeds, bars 95 % intervals. An interval that crosses 0 decides nothing.";
        for (const Group& group : groups_) {
            const auto difference =
                group.combination == combination ? this->difference(group, perplexity_) : std::nullopt;
            if (!difference) continue;
            figure.categories.push_back(group.variant);
            const auto json = [](const std::optional<double>& x) { return x ? Json(*x) : Json(); };
            figure.series[0].points.push_back(Json{difference->mean, json(difference->low), json(difference->high)});
        }
        if (!figure.categories.empty()) section.figures.push_back(std::move(figure));
    }

    Table beside_paper() const {
        Table table{"paper", "Beside the paper", "", {}, {}};
        table.note =
            "The paper's figures (arXiv 2505.06708) are of models of 1.7B parameters (Table 2) and 15B after 400B "
            "tokens "
            "or more: compare signs and order.";
        table.columns = {"variant",    "row of the paper", "perplexity to the baseline's", "in the paper",
                         "gate score", "in the paper",     "M-Act to the baseline's",      "in the paper",
                         "F-Attn",     "in the paper"};
        for (const Group& group : groups_) {
            const Group* other = baseline(group);
            if (!study_.sweep || !other || !group.points[0]->run.config || !other->points[0]->run.config) continue;
            const Config &config = *group.points[0]->run.config, &base = *other->points[0]->run.config;
            std::vector<PaperRow> rows;
            if (!is_baseline(group))
                rows = paper_rows(config, base, least_rate());
            else if (const auto own = paper_baseline(base))
                rows = {*own};
            for (const PaperRow& row : rows) table.rows.push_back(paper_cells(group, *other, row));
        }
        return table;
    }
    double least_rate() const {
        double least = std::numeric_limits<double>::infinity();
        for (const Group& group : groups_)
            if (is_baseline(group) && group.points[0]->run.config)
                least = std::min(least, group.points[0]->run.config->optimizer.lr);
        return least;
    }
    std::vector<Cell> paper_cells(const Group& group, const Group& other, const PaperRow& row) const {
        const auto ratio = [&](const Measure& measure) -> std::optional<double> {
            const auto a = mean_of(group, measure), b = mean_of(other, measure);
            return a && b ? std::optional(a->mean / b->mean) : std::nullopt;
        };
        return {{group.name, {}},
                {row.name, {}},
                number(ratio(perplexity_), 3),
                number(row.perplexity / row.of_baseline, 3),
                mean_cell(mean_of(group, last_of("probe/gate_mean")), 3),
                number(row.gate_score, 3),
                number(ratio(m_act), 2),
                number(row.m_act_ratio, 2),
                mean_cell(mean_of(group, last_of("probe/f_attn")), 3),
                number(row.f_attn, 3)};
    }

    const Study& study_;
    const std::vector<Group> groups_;
    const std::vector<std::string> sets_;
    const Measure perplexity_;
};

}  // namespace

Section results_of(const Study& study) { return Results(study).section(); }

}  // namespace sluice
