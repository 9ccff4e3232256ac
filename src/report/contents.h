// What a report shows of a study.
#pragma once
#include <string>
#include <vector>

#include "report/page.h"
#include "report/study.h"

namespace sluice {

Page page_of(const Study& study);

// What a reader must know before he trusts a number, in sentences.
std::vector<std::string> warnings_of(const Study& study);

// The variants' results, one table for each combination of the axes, and the paper's figures beside ours.
Section results_of(const Study& study);
// Losses over training, and what probes saw then and layer by layer.
Section training_of(const Study& study);
// What `sluice inspect --save` left in the runs' folders: attention maps, SDPA's output around its gate.
Section inspections_of(const Study& study);
// Losses over sizes, with the baseline's power law, and gains.
Section ladders_section(const Study& study);
// Which points there are, and how their configs differ.
Section points_of(const Study& study);

}  // namespace sluice
