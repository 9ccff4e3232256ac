// Checkpoints: a folder of safetensors files and a manifest, written under a temporary name and renamed when it is
// complete. Any number of ranks can load what any other number wrote. docs/checkpoints.md describes the format.
#pragma once
#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <type_traits>
#include <vector>

#include "base/spike_rule.h"
#include "checkpoint/data_record.h"
#include "kernels/memory.h"
#include "tensor/box.h"

namespace sluice {

// The name of a number type in safetensors.
template <class T>
constexpr const char* dtype_of() {
    static_assert(std::is_same_v<T, float> || std::is_same_v<T, double>);
    return std::is_same_v<T, double> ? "F64" : "F32";
}

// One tensor of the state, as this process holds it: a box of the whole tensor, in row-major order. When a checkpoint
// is written, this process writes the rows in `own`: every element is written by exactly one rank.
struct StateTensor {
    std::string name;            // "layers.0.ffn.up.weight", "adam.m/..."
    std::string dtype;           // "F32" or "F64"
    std::vector<int64_t> shape;  // of the whole tensor; [out, in] for matrices
    Box box;                     // in indices of the whole tensor, as is `own`
    void* data;                  // the elements of box, in `memory`
    Box own;                     // some rows of box along dimension 0
    Memory* memory = &host_memory();
    Stream stream = {};  // what reads and writes data
};

// Autotuning choices of a library on a kind of machine (kernels/autotune.h). Only that library's backend can read the
// lines. ranks: those that used them; empty where the run no longer uses the machine or backend.
struct AutotuneRecord {
    std::string machine;
    std::set<std::string> lines;
    std::set<int64_t> ranks;
};

// The checkpoint that checkpoint.resume named when this branch of a run began.
struct BranchStart {
    std::string path;    // as given
    std::string digest;  // of the checkpoint's state
    int64_t step = 0;
};

// Whether a tensor belongs to an optimizer's state, as "adam.m/NAME" for the weight NAME.
inline bool is_optimizer_state(const std::string& name) { return name.find('/') != std::string::npos; }

// What a run needs beside its tensors to resume: all of it is in the manifest.
struct CheckpointInfo {
    int64_t step = 0, tokens = 0, samples = 0;      // tokens trained on, samples consumed so far, over all ranks
    int64_t passed_over = 0;                        // of the samples: those before which the run went back
    int64_t updates = 0;                            // steps that were applied: Adam's t
    int64_t skipped = 0, skipped_in_a_row = 0;      // steps that were not finite
    int64_t spikes = 0, rewinds = 0, furthest = 0;  // as Progress in log/step_result.h has them
    std::optional<SpikeHistory> spike_history;      // with a guard against spikes
    int64_t seed = 0;
    std::string config_yaml;               // resolved
    std::map<std::string, int64_t> mesh;   // {"data": 2, "tensor": 1, ...}
    std::string digest;                    // of all tensors; does not depend on the mesh
    std::vector<AutotuneRecord> autotune;  // of all ranks, so that a resumed run computes the same bits
    std::optional<BranchStart> branch;     // if checkpoint.resume named a checkpoint
    DataRecord data;                       // the data that were read; empty in checkpoints of older versions
};

// A piece of a tensor, which is in a file under the tensor's name.
struct Piece {
    std::string file;
    Box box;
};
struct StoredTensor {
    std::string dtype;
    std::vector<int64_t> shape;
    std::vector<Piece> pieces;
};

// A checkpoint that was opened and verified: format version, sizes and hashes of its files. Links are followed. Files
// that the manifest does not list are not read.
struct Checkpoint {
    std::filesystem::path path;
    CheckpointInfo info;
    std::map<std::string, StoredTensor> tensors;
    std::vector<std::string> strays;  // names in the folder that the manifest does not list
};

// Which facts about files are compared with the manifest. sizes: where another rank compares the hashes too.
enum class Verify { hashes, sizes };

// Opens one step folder. Errors: Failure(Exit::checkpoint), naming file and tensor.
Checkpoint open_checkpoint(const std::filesystem::path& step_folder, Verify verify = Verify::hashes);

// Opens a step folder, or the newest valid step of a run's folder or of its checkpoints/. Adds one line to `warnings`
// for each step that was skipped, with the reason, and for files that are no part of a checkpoint. Errors:
// Failure(Exit::checkpoint) when there is none.
Checkpoint find_checkpoint(const std::filesystem::path& path, std::vector<std::string>& warnings);

// Step folders within checkpoints/, newest first, valid or not; empty where the folder does not exist. Errors:
// Failure(Exit::checkpoint) if it cannot be read.
std::vector<std::filesystem::path> list_checkpoints(const std::filesystem::path& folder);
std::string step_name(int64_t step);  // "step-00001200"
// The step of a folder with such a name; -1 for any other name.
int64_t step_of(const std::filesystem::path& step_folder);

// Reads this rank's box of every tensor of the state. The checkpoint must have exactly these tensors, with their shapes
// and dtypes. With allow_missing it may also have other tensors of an optimizer's state, and may lack tensors, whose
// names are returned. Errors: Failure(Exit::checkpoint).
std::vector<std::string> load_checkpoint(const Checkpoint& checkpoint, const std::vector<StateTensor>& state,
                                         bool allow_missing);

}  // namespace sluice
