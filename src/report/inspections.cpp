#include <fmt/format.h>

#include "base/format.h"
#include "report/contents.h"

namespace sluice {
namespace {

// A number at a path of keys; null where it is missing.
Json at(const Json& value, const std::vector<const char*>& path) {
    const Json* here = &value;
    for (const char* key : path) {
        if (!here->is_object() || !here->contains(key)) return {};
        here = &(*here)[key];
    }
    return here->is_number() ? *here : Json();
}

const Json& layers_of(const StudyPoint& point) {
    static const Json kNone = Json::array();
    const Json& inspection = point.run.inspection;
    return inspection.is_object() && inspection.contains("layers") && inspection["layers"].is_array()
               ? inspection["layers"]
               : kNone;
}

// "step 600, 2048 tokens of validation data", or of a text; and whether the run has gone on since.
std::string about(const StudyPoint& point) {
    const Json& inspection = point.run.inspection;
    const Json step = at(inspection, {"step"});
    std::string text = "sluice inspect, step " + step.dump() + ", " + at(inspection, {"tokens"}).dump() + " tokens of ";
    const bool given = inspection.contains("text") && inspection["text"].is_string();
    text += given ? in_quotes(inspection["text"].get<std::string>()) : "validation data";
    if (point.status.step && step != *point.status.step)
        text += fmt::format("; the run is at step {} now", *point.status.step);
    return text + ". ";
}

// Bars of what is found at `path` in each layer, before the gate, after it, and with the gate's mean instead.
Figure sdpa_bars(const StudyPoint& point, const std::string& id, const std::string& title, const std::string& y,
                 const std::vector<const char*>& path) {
    Figure figure{id,
                  title,
                  about(point) + "Mean score: SDPA's output times the layer's mean gate score.",
                  FigureKind::bars,
                  "layer",
                  y,
                  {},
                  {}};
    const Json& layers = layers_of(point);
    for (size_t l = 0; l < layers.size(); l++) figure.categories.push_back(std::to_string(l));
    const std::pair<const char*, const char*> kinds[] = {
        {"before", "before the gate"}, {"after", "after the gate"}, {"mean_score", "with the mean score"}};
    for (const auto& [first, second] : kinds) {
        FigureSeries series{second, second, Json::array()};
        std::vector<const char*> from_layer{"sdpa", first};
        from_layer.insert(from_layer.end(), path.begin(), path.end());
        bool any = false;
        for (const Json& layer : layers) {
            series.points.push_back(at(layer, from_layer));
            any |= !series.points.back().is_null();
        }
        if (any) figure.series.push_back(std::move(series));
    }
    return figure;
}

void add_maps(const StudyPoint& point, const std::string& id, Section& section) {
    for (const Json& layer : layers_of(point)) {
        if (!layer.is_object() || !layer.contains("map") || !layer["map"].is_object()) continue;
        const Json& map = layer["map"];
        if (!map.contains("weights") || !map.contains("tokens") || !map["tokens"].is_array()) continue;
        const std::string l = at(layer, {"layer"}).dump();
        Figure figure{
            id + "-map-" + l,
            fmt::format("Attention map of layer {}, {}", l, point.point.name()),
            about(point) +
                "Weights of queries (rows) on keys (columns), mean over heads; the darker, the larger, by the "
                "square root.",
            FigureKind::map,
            "key",
            "query",
            {},
            {{"weight", "weight", map["weights"]}}};
        for (const Json& token : map["tokens"])
            figure.categories.push_back(token.is_string() ? token.get<std::string>() : "");
        section.figures.push_back(std::move(figure));
    }
}

}  // namespace

Section inspections_of(const Study& study) {
    Section section{"Inspections", {}, {}};
    for (const StudyPoint& point : study.points) {
        if (layers_of(point).empty()) continue;
        const std::string name = point.point.name(), id = "inspect-" + name;
        for (Figure figure :
             {sdpa_bars(point, id + "-sdpa", "Mean |SDPA output|, " + name, "mean magnitude", {"mean_abs"}),
              sdpa_bars(point, id + "-under-2", "SDPA output under 0.01, " + name, "share", {"under", "0.01"}),
              sdpa_bars(point, id + "-under-3", "SDPA output under 0.001, " + name, "share", {"under", "0.001"})})
            if (!figure.series.empty()) section.figures.push_back(std::move(figure));
        add_maps(point, id, section);
    }
    return section;
}

}  // namespace sluice
