// Studies made of numbers, without folders.
#pragma once
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "report/study.h"

namespace sluice {

struct MadePoint {
    std::string variant;
    int64_t seed = 1;
    double loss = 3;                     // of training and of the set "held"
    std::vector<std::string> axes = {};  // values
    double flops = 1e12;
    PointState state = PointState::done;
};

inline bool has(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }
inline bool any_has(const std::vector<std::string>& texts, const std::string& part) {
    return std::any_of(texts.begin(), texts.end(), [&](const std::string& text) { return has(text, part); });
}

inline Study study_of(const std::vector<MadePoint>& points, const std::vector<std::string>& axes = {}) {
    Study study;
    study.name = "made";
    study.baseline = points[0].variant;
    study.sweep = true;
    study.axes = axes;
    for (const std::string& key : axes)
        if (key.starts_with("model.")) study.of_size.insert(key);
    study.evals = {"eval/held/loss", "eval/held/perplexity"};
    for (const MadePoint& made : points) {
        StudyPoint& point = study.points.emplace_back();
        point.point.variant = point.point.group = made.variant;
        for (size_t i = 0; i < axes.size(); i++) {
            Node value;
            value.kind = Node::Kind::scalar;
            value.text = made.axes[i];
            point.point.axes.emplace_back(axes[i], value);
            point.point.group += "," + axes[i] + "=" + made.axes[i];
        }
        point.point.seed = made.seed;
        point.status.state = made.state;
        point.counts = made.state == PointState::done;
        point.parameters = 1000;
        point.gates = 10;
        point.flops = made.flops;
        point.tokens = 4096;
        point.run.series["loss"] = {{1, 5.0}, {2, made.loss}};
        point.run.series["eval/held/loss"] = {{2, made.loss}};
        point.run.series["eval/held/perplexity"] = {{2, std::exp(made.loss)}};
        point.run.series["tokens_per_second"] = {{1, 100.0}, {2, 100.0}};
    }
    return study;
}

}  // namespace sluice
