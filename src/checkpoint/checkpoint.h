// Checkpoints: a folder of safetensors files and a manifest, written under a temporary name and renamed once when
// whole. Any number of ranks loads what any number wrote. DESIGN.md tells the format.
#pragma once
#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <type_traits>
#include <vector>

#include "checkpoint/data_record.h"
#include "tensor/box.h"

namespace sluice {

// What safetensors calls a number type.
template <class T>
constexpr const char* dtype_of() {
    static_assert(std::is_same_v<T, float> || std::is_same_v<T, double>);
    return std::is_same_v<T, double> ? "F64" : "F32";
}

// One tensor of the state, as this process holds it: a box of the whole, in row-major order, of which it answers for
// some rows when a checkpoint is written. Every element is answered for by one rank.
struct StateTensor {
    std::string name;            // "layers.0.ffn.up.weight", "adam.m/..."
    std::string dtype;           // "F32" or "F64"
    std::vector<int64_t> shape;  // of the whole; [out, in] for matrices
    Box box;
    void* data;
    Box own;  // rows of box along dimension 0
};

// Autotuning choices of a library on a kind of machine (kernels/autotune.h), as lines that only that library's backend
// reads, and the ranks that used them; none: a machine or backend that the run has left.
struct AutotuneRecord {
    std::string machine;
    std::set<std::string> lines;
    std::set<int64_t> ranks;
};

// The checkpoint that checkpoint.resume named when this branch of a run began.
struct BranchStart {
    std::string path;    // as it was given
    std::string digest;  // of its state
    int64_t step = 0;
};

// Whether a tensor is of an optimizer's state: "adam.m/NAME" belongs to the weight NAME.
inline bool is_optimizer_state(const std::string& name) { return name.find('/') != std::string::npos; }

// What else a run needs to go on: all of it is in the manifest.
struct CheckpointInfo {
    int64_t step = 0, tokens = 0, samples = 0;  // consumed so far, over all ranks
    int64_t updates = 0;                        // Adam's t: steps not skipped
    int64_t skipped = 0, skipped_in_a_row = 0;
    int64_t seed = 0;
    std::string config_yaml;               // resolved
    std::map<std::string, int64_t> mesh;   // {"data": 2, "tensor": 1, ...}
    std::string digest;                    // of the state, whatever the mesh
    std::vector<AutotuneRecord> autotune;  // of all ranks, so that a resumed run computes the same bits
    std::optional<BranchStart> branch;     // where it was resumed by name
    DataRecord data;                       // what was read; without sources in checkpoints that do not tell
};

// Where a part of a tensor stands: under the tensor's name in a file.
struct Piece {
    std::string file;
    Box box;
};
struct StoredTensor {
    std::string dtype;
    std::vector<int64_t> shape;
    std::vector<Piece> pieces;
};

// A checkpoint that was opened and verified: format version, sizes and hashes of its files. Links are followed; files
// that the manifest does not list are not looked into.
struct Checkpoint {
    std::filesystem::path path;
    CheckpointInfo info;
    std::map<std::string, StoredTensor> tensors;
    std::vector<std::string> strays;  // names in the folder that the manifest does not list
};

// How closely files are held to the manifest. Sizes alone: where another rank compares the hashes.
enum class Verify { hashes, sizes };

// One step folder. Errors: Failure(Exit::checkpoint), naming file and tensor.
Checkpoint open_checkpoint(const std::filesystem::path& step_folder, Verify verify = Verify::hashes);

// A step folder, or a run's folder or its checkpoints/ for the newest valid step; `warnings` tells what was passed over
// and why, and what lies about that is no part of a checkpoint, a line each. Errors: Failure(Exit::checkpoint) when
// there is none.
Checkpoint find_checkpoint(const std::filesystem::path& path, std::vector<std::string>& warnings);

// Step folders within checkpoints/, newest first, valid or not; none where there is no such folder. Errors:
// Failure(Exit::checkpoint) for one that cannot be read.
std::vector<std::filesystem::path> list_checkpoints(const std::filesystem::path& folder);
std::string step_name(int64_t step);  // "step-00001200"
// Of a folder with such a name; -1: it has another.
int64_t step_of(const std::filesystem::path& step_folder);

// Fills in the state, each rank its own boxes. It must be in the checkpoint name by name with shape and dtype, and
// nothing else beside. With allow_missing what it has of an optimizer's state may stay, and the names of what it lacks
// are returned. Errors: Failure(Exit::checkpoint).
std::vector<std::string> load_checkpoint(const Checkpoint& checkpoint, const std::vector<StateTensor>& state,
                                         bool allow_missing);

}  // namespace sluice
