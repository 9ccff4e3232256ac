// What this machine is, and where a program may keep what it found out about it.
#pragma once
#include <filesystem>
#include <string>

namespace sluice {

// What tells one kind of processor from another: vendor, family, model, cache and instruction sets, as lines.
std::string processor();

// Of this machine: "AMD EPYC 9R45 64-Core Processor"; its name in the network; cores that this process may use.
std::string processor_name();
std::string host_name();
int usable_cores();

// Whether such a processor multiplies bf16 (AVX512-BF16).
bool multiplies_bf16(const std::string& processor);

// $SLUICE_CACHE, $XDG_CACHE_HOME/sluice or ~/.cache/sluice, which may not exist; empty where none of these is set.
std::filesystem::path cache_folder();

}  // namespace sluice
