#include "report/page.h"

namespace sluice {
namespace {

std::string in_a_cell(const std::string& text) {
    std::string safe;
    for (const char c : text) safe += c == '|' ? "\\|" : c == '\n' || c == '\r' ? " " : std::string(1, c);
    return safe;
}

std::string line(const std::vector<std::string>& cells) {
    std::string line = "|";
    for (const std::string& cell : cells) line += " " + in_a_cell(cell) + " |";
    return line + "\n";
}

std::string markdown_of(const Table& table) {
    std::string text = "### " + table.title + "\n\n";
    if (!table.note.empty()) text += table.note + "\n\n";
    text += line(table.columns) + "|";
    for (size_t c = 0; c < table.columns.size(); c++) text += c == 0 ? "---|" : "---:|";
    text += "\n";
    for (const std::vector<Cell>& row : table.rows) {
        std::vector<std::string> cells;
        for (const Cell& cell : row) cells.push_back(cell.text);
        text += line(cells);
    }
    return text + "\n";
}

}  // namespace

std::string markdown_of(const Page& page) {
    std::string text = "# " + page.title + "\n\n" + page.state + "\n\n";
    for (const std::string& warning : page.warnings) text += "- " + warning + "\n";
    if (!page.warnings.empty()) text += "\n";
    for (const Section& section : page.sections) {
        if (section.tables.empty()) continue;
        text += "## " + section.title + "\n\n";
        for (const Table& table : section.tables) text += markdown_of(table);
    }
    text.pop_back();
    return text;
}

}  // namespace sluice
