// `sluice runs`: the runs below a folder, one line per run.
#pragma once
#include <string>

namespace sluice {

inline constexpr char kDefaultRuns[] = "runs";

// Returns the exit code. json: {"runs": [{folder, state, step, steps, loss, best_validation: {set, loss, step},
// validation: {SET: {loss, step}}, age_seconds, why}]}, with null for what is not known. Errors: Failure(Exit::config)
// where the folder does not exist, unless it is the default.
int runs_command(const std::string& folder, bool json);

}  // namespace sluice
