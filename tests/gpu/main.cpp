// gpu_check [--small] ROW: runs one row, and prints `detail: TEXT` and `number: NAME VALUE`. Exit code 0: it passes; 1:
// it fails; 77: it was not run. gpu_check --list names the rows.
#include <cstdio>
#include <cstring>
#include <exception>

#include "gpu/rows.h"

namespace sluice {
namespace {

std::vector<Row> all_rows() {
    std::vector<Row> all;
    for (const auto& rows : {device_rows(), attention_rows(), model_rows(), mesh_rows(), memory_rows()})
        all.insert(all.end(), rows.begin(), rows.end());
    return all;
}

int report(const Outcome& outcome) {
    std::string detail = outcome.detail;
    for (char& c : detail)
        if (c == '\n') c = ' ';
    std::printf("detail: %s\n", detail.c_str());
    for (const auto& [name, value] : outcome.numbers) std::printf("number: %s %.9g\n", name.c_str(), value);
    return outcome.state == Outcome::pass ? 0 : outcome.state == Outcome::fail ? 1 : 77;
}

int run(int argc, char** argv) {
    const bool small = argc > 2 && !std::strcmp(argv[1], "--small");
    const std::string name = argc == 2 + small ? argv[1 + small] : "";
    const std::vector<Row> rows = all_rows();
    if (name == "--list") {
        for (const Row& row : rows) std::printf("%s\n", row.name.c_str());
        return 0;
    }
    for (const Row& row : rows) {
        if (row.name != name) continue;
        try {
            return report(row.run(small ? Sizes::small : Sizes::real));
        } catch (const std::exception& error) { return report({Outcome::fail, error.what(), {}}); }
    }
    std::fprintf(stderr, "error: gpu_check has no row '%s': see gpu_check --list\n", name.c_str());
    return 2;
}

}  // namespace
}  // namespace sluice

int main(int argc, char** argv) { return sluice::run(argc, argv); }
