#include "report/contents.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "base/format.h"
#include "config/load.h"
#include "report/ladder.h"
#include "report/statistics.h"

namespace sluice {
namespace {

std::string gain_text(const std::optional<Interval>& gain, const std::string& why_none) {
    if (!gain) return why_none.empty() ? "-" : "- (" + why_none + ")";
    std::string text = fmt::format("{:.3f}", gain->mean);
    return gain->low ? text + fmt::format(" [{:.3f}, {:.3f}]", *gain->low, *gain->high) : text;
}

Figure ladder_figure(const Study& study, const Ladder& ladder, size_t n) {
    Figure figure{fmt::format("ladder-{}", n),
                  "Loss over training FLOPs" + (ladder.where.empty() ? "" : " at " + ladder.where),
                  "Means over the seeds. The dashed line is the baseline's power law.",
                  FigureKind::lines,
                  "training FLOPs",
                  "loss",
                  {},
                  {}};
    figure.log_x = figure.log_y = true;
    double least = 0, most = 0;
    for (const Gain& rung : ladder.rungs) {
        if (figure.series.empty() || figure.series.back().name != rung.variant)
            figure.series.push_back({rung.variant, rung.variant, Json::array()});
        figure.series.back().points.push_back(Json{rung.flops, rung.loss});
        if (rung.variant != study.baseline) continue;
        least = least == 0 ? rung.flops : std::min(least, rung.flops);
        most = std::max(most, rung.flops);
    }
    if (!ladder.law) return figure;
    const std::string law =
        fmt::format("{:.3g} + {:.3g} C^-{:.3g}", ladder.law->floor, ladder.law->scale, ladder.law->exponent);
    FigureSeries fit{law, law, Json::array(), true};
    for (int i = 0; i <= 40; i++) {
        const double flops = least * std::pow(most / least, i / 40.0);
        fit.points.push_back(Json{flops, ladder.law->loss(flops)});
    }
    figure.series.push_back(std::move(fit));
    return figure;
}

Table ladder_table(const Study& study, const Ladder& ladder, size_t n) {
    Table table{fmt::format("gains-{}", n),
                "Compute-equivalent gains" + (ladder.where.empty() ? "" : " at " + ladder.where),
                "How many times the baseline's FLOPs (or time) reach the variant's loss, by the power law of the "
                "baseline's points of the same seed, moved through its point of the same size. Means over the seeds, "
                "with 95 % intervals where there are two or more.",
                {"variant", "size", "FLOPs", "loss", "gain for equal data", "gain for equal time"},
                {}};
    for (const Gain& rung : ladder.rungs) {
        const bool baseline = rung.variant == study.baseline;
        const auto gain = [&](const std::optional<Interval>& gain) {
            return baseline ? Cell{"1", 1.0}
                            : Cell{gain_text(gain, rung.why), gain ? std::optional(gain->mean) : std::nullopt};
        };
        table.rows.push_back({{rung.variant, {}},
                              {rung.size, {}},
                              {format_count(rung.flops), rung.flops},
                              {fmt::format("{:.4f}", rung.loss), rung.loss},
                              gain(rung.data),
                              gain(rung.time)});
    }
    return table;
}

// A key in which runs differ, with the value of each group.
Table differences_table(const Study& study) {
    Table table{"differences", "Differences between the configs", "", {"key"}, {}};
    std::map<std::string, std::map<std::string, std::string>> values;  // by key, then group
    const std::vector<Group> groups = study.groups();
    std::vector<const Group*> known;
    for (const Group& group : groups) {
        if (!group.points[0]->run.config) continue;
        known.push_back(&group);
        for (const auto& [key, value] : flatten(*group.points[0]->run.config))
            if (!key.starts_with("run.")) values[key][group.name] = value;
    }
    for (const Group* group : known) table.columns.push_back(group->name);
    for (const auto& [key, of] : values) {
        const std::string& first = of.begin()->second;
        const bool same = of.size() == known.size() &&
                          std::all_of(of.begin(), of.end(), [&](const auto& value) { return value.second == first; });
        if (same) continue;
        std::vector<Cell> row{{key, {}}};
        for (const Group* group : known) row.push_back({of.count(group->name) ? of.at(group->name) : "", {}});
        table.rows.push_back(std::move(row));
    }
    return table;
}

Table points_table(const Study& study) {
    Table table{"points",
                study.sweep ? "Points" : "The run",
                "",
                {"point", "state", "step", "tokens", "loss", "tokens/s", "why"},
                {}};
    for (const StudyPoint& point : study.points) {
        const auto count = [](const std::optional<double>& n) { return n ? Cell{format_count(*n), n} : Cell{"-", {}}; };
        const auto loss = point.run.last("loss");
        const auto& step = point.status.step;
        table.rows.push_back({{point.point.name(), {}},
                              {enum_name(point.status.state), {}},
                              step ? Cell{std::to_string(*step), double(*step)} : Cell{"-", {}},
                              count(point.run.last("tokens")),
                              loss ? Cell{fmt::format("{:.4f}", *loss), loss} : Cell{"-", {}},
                              count(point.run.median("tokens_per_second")),
                              {point.status.why, {}}});
    }
    return table;
}

std::string state_of(const Study& study) {
    std::map<PointState, size_t> counts;
    for (const StudyPoint& point : study.points) counts[point.status.state]++;
    std::string text;
    for (const auto& [name, state] : EnumNames<PointState>::all)
        if (counts[state] > 0) text += (text.empty() ? "" : ", ") + std::to_string(counts[state]) + " " + name;
    return counted(int64_t(study.points.size()), study.sweep ? "point" : "run") + ": " + text;
}

}  // namespace

Section ladders_section(const Study& study) {
    Section section{"Ladders", {}, {}};
    const std::vector<Ladder> ladders = study.sweep ? ladders_of(study) : std::vector<Ladder>();
    for (size_t i = 0; i < ladders.size(); i++) {
        section.figures.push_back(ladder_figure(study, ladders[i], i));
        section.tables.push_back(ladder_table(study, ladders[i], i));
    }
    return section;
}

Section points_of(const Study& study) {
    Section section{"Runs", {points_table(study)}, {}};
    if (Table differences = differences_table(study); study.sweep && !differences.rows.empty())
        section.tables.push_back(std::move(differences));
    return section;
}

Page page_of(const Study& study) {
    Page page{study.name, state_of(study), warnings_of(study), {}, {}};
    for (const Group& group : study.groups()) page.groups.push_back(group.name);
    for (Section (*section)(const Study&) : {results_of, ladders_section, training_of, inspections_of, points_of})
        if (Section made = section(study); !made.tables.empty() || !made.figures.empty())
            page.sections.push_back(std::move(made));
    return page;
}

}  // namespace sluice
