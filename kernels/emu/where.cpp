#include "kernels/emu/where.h"

#include <cstdint>
#include <string_view>

#ifdef SLUICE_BACKTRACE
#include <backtrace.h>
#include <cxxabi.h>

#include <cstdlib>
#endif

namespace sluice::emu {
namespace {

std::string place(const char* file, uint64_t line) {
    std::string_view path = file;
    for (const char* folder : {"/kernels/", "/tests/", "/src/"})
        if (const size_t at = path.rfind(folder); at != path.npos) {
            path = path.substr(at + 1);
            break;
        }
    return std::string(path) + ":" + std::to_string(line);
}

}  // namespace

std::string where(const Site& site) { return place(site.file_name(), site.line()); }

#ifdef SLUICE_BACKTRACE
namespace {

void no_lines(void*, const char*, int) {}

backtrace_state* lines() {
    static backtrace_state* const state = backtrace_create_state(nullptr, 1, no_lines, nullptr);
    return state;
}

// For each function inlined at the instruction, from the innermost out, until it returns 1.
int take_place(void* found, uintptr_t, const char* file, int line, const char*) {
    if (!file || line == 0) return 0;
    const std::string here = place(file, uint64_t(line));
    const bool word = here.starts_with("kernels/emu/") || here.starts_with("kernels/cuda/prim/");
    auto& best = *static_cast<std::string*>(found);
    if (best.empty() || !word) best = here;
    return int(!word);
}

}  // namespace

std::string where(const void* returns_to) {
    std::string found;
    if (lines()) backtrace_pcinfo(lines(), reinterpret_cast<uintptr_t>(returns_to) - 1, take_place, no_lines, &found);
    return found;
}

namespace {

// The innermost place in the project's sources, of the functions inlined at the instruction.
int take_place_of_ours(void* found, uintptr_t, const char* file, int line, const char*) {
    if (!file || line == 0) return 0;
    const std::string here = place(file, uint64_t(line));
    const bool ours = here.starts_with("kernels/") || here.starts_with("tests/") || here.starts_with("src/");
    if (ours) *static_cast<std::string*>(found) = here;
    return int(ours);
}

// The name of a function of ours, where its file keeps no lines.
void take_function_of_ours(void* found, uintptr_t, const char* symbol, uintptr_t, uintptr_t) {
    if (!symbol) return;
    const auto begins = [&](std::string_view mangled) { return std::string_view(symbol).starts_with(mangled); };
    if (!begins("_ZN6sluice") && !begins("_ZNK6sluice") && !begins("_ZZN6sluice") && !begins("_ZZNK6sluice")) return;
    char* const name = abi::__cxa_demangle(symbol, nullptr, nullptr, nullptr);
    if (name) *static_cast<std::string*>(found) = std::string("in ") + name;
    std::free(name);
}

}  // namespace

std::string where_the_host_is(const void* interrupted) {
    struct Walk {
        bool reached = false;  // the frames of the handler lie before
        uintptr_t interrupted;
        std::string found;
    } walk{false, reinterpret_cast<uintptr_t>(interrupted), {}};
    const auto frame = [](void* to, uintptr_t pc) {
        Walk& walk = *static_cast<Walk*>(to);
        if (pc == walk.interrupted || pc + 1 == walk.interrupted) walk.reached = true;
        if (!walk.reached) return 0;
        backtrace_pcinfo(lines(), pc, take_place_of_ours, no_lines, &walk.found);
        if (walk.found.empty()) backtrace_syminfo(lines(), pc, take_function_of_ours, no_lines, &walk.found);
        return int(!walk.found.empty());
    };
    if (lines()) backtrace_simple(lines(), 0, frame, no_lines, &walk);
    return walk.found;
}
#else
std::string where(const void*) { return {}; }
std::string where_the_host_is(const void*) { return {}; }
#endif

}  // namespace sluice::emu
