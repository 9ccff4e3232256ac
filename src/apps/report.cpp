#include "apps/report.h"

#include <fmt/format.h>

#include "base/check.h"
#include "base/file.h"
#include "base/format.h"
#include "cli/terminal.h"
#include "parallel/comm.h"
#include "report/contents.h"
#include "report/csv.h"

namespace sluice {

WrittenReport write_report(const std::filesystem::path& folder) {
    const Study study = read_study(folder);
    const Page page = page_of(study);
    write_file(folder / "report.csv", report_csv(study));
    if (study.sweep) write_file(folder / "summary.csv", summary_csv(study));
    write_file(folder / "report.md", markdown_of(page));
    write_file(folder / "report.html", html_of(page));
    return {page.state, page.warnings, folder / "report.html"};
}

int report_command(const std::string& folder) {
    if (launched_ranks() != 1) fail(Exit::config, "report: start it without mpirun");
    const WrittenReport report = write_report(folder);
    for (const std::string& warning : report.warnings) print_warning(warning);
    fmt::print("{} | {}\n", report.state, printable(report.page.string(), 4096));
    return int(Exit::done);
}

}  // namespace sluice
