#include "kernels/autotune.h"

#include <algorithm>

namespace sluice {
namespace {

thread_local int scopes = 0;  // that live

// Filled before main(), by objects of static lifetime.
std::vector<Autotuner*>& autotuners() {
    static std::vector<Autotuner*> all;
    return all;
}

}  // namespace

AutotuneScope::AutotuneScope() { scopes++; }
AutotuneScope::~AutotuneScope() { scopes--; }
bool AutotuneScope::active() { return scopes > 0; }

Autotuner::Autotuner() { autotuners().push_back(this); }
Autotuner::~Autotuner() { std::erase(autotuners(), this); }

std::vector<AutotuneSection> export_autotune() {
    std::vector<AutotuneSection> sections;
    for (const Autotuner* a : autotuners())
        if (!a->machine().empty()) sections.push_back({a->machine(), a->export_lines()});
    return sections;
}

void import_autotune(const AutotuneSection& section) {
    for (Autotuner* a : autotuners())
        if (a->machine() == section.machine) a->import_lines(section.lines);
}

}  // namespace sluice
