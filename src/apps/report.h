// `sluice report`: what a sweep or a run has given, as a page, Markdown and CSV in its folder.
#pragma once
#include <filesystem>
#include <string>
#include <vector>

namespace sluice {

struct WrittenReport {
    std::string state;                  // "15 points: 12 done, 3 partial"
    std::vector<std::string> warnings;  // what a reader must know before he trusts a number
    std::filesystem::path page;         // report.html
};
// Writes report.html, report.md, report.csv and, of a sweep, summary.csv into the folder. Errors: those of
// read_study(), Failure(Exit::disk).
WrittenReport write_report(const std::filesystem::path& folder);

int report_command(const std::string& folder);

}  // namespace sluice
