// Facts about this machine, and the folder where programs cache what they measured on it.
#pragma once
#include <filesystem>
#include <string>

namespace sluice {

// What distinguishes one kind of processor from another, as lines: vendor, family, model, cache size, instruction sets.
std::string processor();

// This machine's processor ("AMD EPYC 9R45 64-Core Processor"), its host name, and how many cores this process may use.
std::string processor_name();
std::string host_name();
int usable_cores();

// Bytes for each of `processes` that need the same. total: the machine's memory and swap, or what its control groups
// and `ulimit -v` leave of them to this process; free: of memory, now, with what can be made free; limit: who allocates
// more has it refused, or is ended for it. What cannot be read limits nothing. root: where /proc and /sys are.
struct MachineMemory {
    size_t total, free, limit;
};
MachineMemory machine_memory(int processes = 1, const std::filesystem::path& root = "/");
std::string free_memory();  // "3.20G of 23.5G are free", for messages

// Whether a processor, as described by processor(), multiplies bf16 (AVX512-BF16).
bool multiplies_bf16(const std::string& processor);

std::filesystem::path program_folder();  // where the running program lies

// $SLUICE_CACHE, $XDG_CACHE_HOME/sluice or ~/.cache/sluice, which may not exist; empty where none of these is set.
std::filesystem::path cache_folder();

}  // namespace sluice
