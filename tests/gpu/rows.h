// Rows of scripts/gpu_check.sh that a shell cannot do. A row returns its outcome, or throws, which is a failure.
#pragma once
#include <functional>
#include <string>
#include <utility>
#include <vector>

namespace sluice {

struct Outcome {
    enum State { pass, fail, not_run } state = pass;
    std::string detail;                                   // one line: what was found, or why it was not run
    std::vector<std::pair<std::string, double>> numbers;  // for programs
};

// How large a row may be: a GPU's, or what the emulator can do in seconds.
enum class Sizes { real, small };

struct Row {
    std::string name;  // "model.dense.float"
    std::function<Outcome(Sizes)> run;
};
std::vector<Row> device_rows();
std::vector<Row> attention_rows();
std::vector<Row> model_rows();
std::vector<Row> mesh_rows();
std::vector<Row> memory_rows();

}  // namespace sluice
