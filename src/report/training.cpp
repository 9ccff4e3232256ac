#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "report/contents.h"
#include "report/statistics.h"

namespace sluice {
namespace {

constexpr size_t kMostDots = 400;  // of a curve: more cannot be told apart

// Every nth value, and the last one.
Json dots(const Series& series) {
    const size_t stride = (series.size() + kMostDots - 1) / kMostDots;
    Json points = Json::array();
    for (size_t i = 0; i < series.size(); i++)
        if (i % stride == 0 || i + 1 == series.size()) points.push_back(Json{series[i].first, series[i].second});
    return points;
}

// The mean over a group's points, at the steps that all of those have which have any.
Series mean_series(const Group& group, const std::string& key) {
    std::map<int64_t, std::pair<double, int>> sums;
    int points = 0;
    for (const StudyPoint* point : group.points) {
        const auto found = point->run.series.find(key);
        if (found == point->run.series.end()) continue;
        points++;
        for (const auto& [step, value] : found->second) {
            auto& [sum, n] = sums[step];
            sum += value;
            n++;
        }
    }
    Series mean;
    for (const auto& [step, sum] : sums)
        if (sum.second == points) mean.emplace_back(step, sum.first / points);
    return mean;
}

// The mean of the last values of a group's points, done or not.
std::optional<double> last_mean(const Group& group, const std::string& key) {
    std::vector<double> values;
    for (const StudyPoint* point : group.points)
        if (const auto value = point->run.last(key)) values.push_back(*value);
    const auto mean = interval_of(values);
    return mean ? std::optional(mean->mean) : std::nullopt;
}

struct Probe {
    const char *key, *title, *note;
};
const Probe kProbes[] = {
    {"f_attn", "Attention to the first token (F-Attn)", "Share of the weights that queries give to the first token."},
    {"m_act", "Massive activations (M-Act)", "The largest magnitude of the residual."},
    {"gate_mean", "Gate scores", "Mean of the gates' factors."},
    {"gate_sparsity", "Sparsity of gates", "Share of the gates' factors under 0.1."},
    {"attention_entropy", "Attention entropy", "Of a query's weights, in nats."},
    {"max_logit", "Largest attention logit", "The largest scaled score."},
    {"sdpa_mean_abs", "Mean |SDPA output|", "Before sdpa gates."},
    {"sdpa_mean_abs_gated", "Mean |SDPA output| behind its gates", ""},
    {"sdpa_sparsity", "Sparsity of SDPA output", "Share of magnitudes under 0.01, before sdpa gates."},
    {"sdpa_sparsity_gated", "Sparsity of SDPA output behind its gates", "Share of magnitudes under 0.01."},
    {"expert_load", "Load of experts", "Picks of the busiest expert over the mean."},
    {"router_entropy", "Router entropy", "Of a token's probabilities, in nats."},
};

std::string noted(const Probe& probe, const std::string& how) {
    return probe.note + std::string(probe.note[0] ? " " : "") + how;
}

class Training {
 public:
    explicit Training(const Study& study) : study_(study), groups_(study.groups()) {}

    Section section() const {
        Section section{"Training", {}, {}};
        add(section, losses());
        for (const std::string& set : study_.sets())
            add(section,
                over_steps("eval/" + set + "/loss", "Validation loss, " + set, "loss", "Means over the seeds."));
        for (const Probe& probe : kProbes)
            add(section,
                over_steps("probe/" + std::string(probe.key), probe.title, "", noted(probe, "Means over the seeds.")));
        for (const Probe& probe : kProbes) add(section, by_layer(probe));
        add(section, histogram());
        return section;
    }

 private:
    static void add(Section& section, Figure figure) {
        const bool any = std::any_of(figure.series.begin(), figure.series.end(),
                                     [](const FigureSeries& series) { return !series.points.empty(); });
        if (any) section.figures.push_back(std::move(figure));
    }

    Figure losses() const {
        Figure figure{"loss",
                      "Training loss",
                      "Every run by itself. Smoothing averages neighbours exponentially.",
                      FigureKind::lines,
                      "step",
                      "loss",
                      {},
                      {}};
        figure.smooth = true;
        for (const Group& group : groups_)
            for (const StudyPoint* point : group.points)
                if (const auto loss = point->run.series.find("loss"); loss != point->run.series.end())
                    figure.series.push_back(
                        {group.points.size() > 1 ? point->point.name() : group.name, group.name, dots(loss->second)});
        return figure;
    }

    Figure over_steps(const std::string& key, const std::string& title, const std::string& y,
                      const std::string& note) const {
        Figure figure{"steps-" + key, title + " over training", note, FigureKind::lines, "step", y, {}, {}};
        for (const Group& group : groups_)
            if (const Series mean = mean_series(group, key); !mean.empty())
                figure.series.push_back({group.name, group.name, dots(mean)});
        return figure;
    }

    Figure by_layer(const Probe& probe) const {
        Figure figure{"layers-" + std::string(probe.key),
                      probe.title + std::string(" by layer"),
                      noted(probe, "At the last look; means over the seeds."),
                      FigureKind::bars,
                      "layer",
                      "",
                      {},
                      {}};
        const auto key = [&](int64_t layer) { return "probe/layers/" + std::to_string(layer) + "/" + probe.key; };
        int64_t layers = 0;
        for (const StudyPoint& point : study_.points)
            if (point.run.config) layers = std::max(layers, point.run.config->model.layers);
        for (int64_t l = 0; l < layers; l++) figure.categories.push_back(std::to_string(l));
        for (const Group& group : groups_) {
            FigureSeries series{group.name, group.name, Json::array()};
            bool any = false;
            for (int64_t l = 0; l < layers; l++) {
                const auto mean = last_mean(group, key(l));
                series.points.push_back(mean ? Json(*mean) : Json());
                any |= mean.has_value();
            }
            if (any) figure.series.push_back(std::move(series));
        }
        return figure;
    }

    // Shares of the gates' factors over all layers and seeds, at the last look.
    Figure histogram() const {
        Figure figure{"histogram",
                      "Histogram of gate scores",
                      "Shares of the gates' factors, over all layers; at the last look; means over the seeds.",
                      FigureKind::lines,
                      "gate score",
                      "share",
                      {},
                      {}};
        for (const Group& group : groups_) {
            std::map<int64_t, double> shares;  // by bin, counted from 0
            double width = 0;
            int histograms = 0;
            for (const StudyPoint* point : group.points)
                for (const auto& [key, value] : point->run.latest) {
                    if (!key.ends_with("/gate_histogram") || !value.contains("shares")) continue;
                    width = value.value("width", 0.05);
                    int64_t bin = std::llround(value.value("low", 0.0) / width);
                    for (const Json& share : value["shares"])
                        shares[bin++] += share.is_number() ? share.get<double>() : 0;
                    histograms++;
                }
            FigureSeries series{group.name, group.name, Json::array()};
            for (const auto& [bin, share] : shares)
                series.points.push_back(Json{(double(bin) + 0.5) * width, share / histograms});
            figure.series.push_back(std::move(series));
        }
        std::erase_if(figure.series, [](const FigureSeries& series) { return series.points.empty(); });
        return figure;
    }

    const Study& study_;
    const std::vector<Group> groups_;
};

}  // namespace

Section training_of(const Study& study) { return Training(study).section(); }

}  // namespace sluice
