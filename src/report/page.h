// A report as tables, figures and warnings: what is drawn in HTML and written in Markdown.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "base/enum_names.h"
#include "base/json.h"

namespace sluice {

struct Cell {
    std::string text;
    std::optional<double> value;  // what the column is sorted by, where it is a number
};
struct Table {
    std::string id, title, note;
    std::vector<std::string> columns;  // the first one names the rows
    std::vector<std::vector<Cell>> rows;
};

// How a figure is drawn: lines over x; bars of each series at the categories; a mean with its interval at each
// category; a square of weights.
enum class FigureKind { lines, bars, intervals, map };
template <>
struct EnumNames<FigureKind> {
    static constexpr std::pair<const char*, FigureKind> all[] = {{"lines", FigureKind::lines},
                                                                 {"bars", FigureKind::bars},
                                                                 {"intervals", FigureKind::intervals},
                                                                 {"map", FigureKind::map}};
};

struct FigureSeries {
    std::string name;
    std::string group;    // series of a group have the same colour, in all figures
    Json points;          // lines: [x, y]; bars: y of each category; intervals: [mean, low, high]; map: rows
    bool dashed = false;  // a fit, not a measurement
};
struct Figure {
    std::string id, title, note;
    FigureKind kind = FigureKind::lines;
    std::string x, y;                     // titles of the axes
    std::vector<std::string> categories;  // of bars, intervals and maps
    std::vector<FigureSeries> series;
    bool log_x = false, log_y = false, smooth = false;  // smooth: noise may be averaged away
};
struct Section {
    std::string title;
    std::vector<Table> tables;
    std::vector<Figure> figures;
};
struct Page {
    std::string title, state;                   // state: "12 of 15 points are done"
    std::vector<std::string> warnings, groups;  // groups: in the order of their colours
    std::vector<Section> sections;
};

// One HTML file without links to anything outside it.
std::string html_of(const Page& page);
// The warnings and tables; figures are in the HTML.
std::string markdown_of(const Page& page);

}  // namespace sluice
