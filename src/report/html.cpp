#include <fmt/format.h>

#include "report/assets.h"
#include "report/page.h"

namespace sluice {
namespace {

std::string html_text(const std::string& text) {
    std::string safe;
    for (const char c : text) safe += c == '<' ? "&lt;" : c == '&' ? "&amp;" : std::string(1, c);
    return safe;
}

Json json_of(const Table& table) {
    Json rows = Json::array();
    for (const std::vector<Cell>& row : table.rows) {
        Json cells = Json::array();
        for (const Cell& cell : row)
            cells.push_back({{"text", cell.text}, {"value", cell.value ? Json(*cell.value) : Json()}});
        rows.push_back(std::move(cells));
    }
    return {{"id", table.id}, {"title", table.title}, {"note", table.note}, {"columns", table.columns}, {"rows", rows}};
}

Json json_of(const Figure& figure) {
    Json series = Json::array();
    for (const FigureSeries& s : figure.series)
        series.push_back({{"name", s.name}, {"group", s.group}, {"points", s.points}, {"dashed", s.dashed}});
    return {{"id", figure.id},         {"title", figure.title},
            {"note", figure.note},     {"kind", enum_name(figure.kind)},
            {"x", figure.x},           {"y", figure.y},
            {"log_x", figure.log_x},   {"log_y", figure.log_y},
            {"smooth", figure.smooth}, {"categories", figure.categories},
            {"series", series}};
}

// With every '<' as \u003c, so that no text of a run ends the element that it stands in.
std::string data_of(const Page& page) {
    Json sections = Json::array();
    for (const Section& section : page.sections) {
        Json tables = Json::array(), figures = Json::array();
        for (const Table& table : section.tables) tables.push_back(json_of(table));
        for (const Figure& figure : section.figures) figures.push_back(json_of(figure));
        sections.push_back({{"title", section.title}, {"tables", tables}, {"figures", figures}});
    }
    const Json data{{"groups", page.groups}, {"warnings", page.warnings}, {"sections", sections}};
    std::string safe;
    for (const char c : data.dump(-1, ' ', false, Json::error_handler_t::replace))
        safe += c == '<' ? "\\u003c" : std::string(1, c);
    return safe;
}

}  // namespace

std::string html_of(const Page& page) {
    const std::string title = html_text(page.title);
    return fmt::format(R"(<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{} - Sluice report</title>
<style>
{}</style>
</head>
<body>
<a class="skip" href="#main">skip to the results</a>
<header><div><h1>{}</h1><p class="quiet">{}</p></div></header>
<nav aria-label="sections"></nav>
<main id="main"></main>
<noscript><p>The tables and figures need JavaScript. report.md and report.csv, beside this file, do without.</p></noscript>
<script type="application/json" id="data">{}</script>
<script>{}</script>
<script>{}{}</script>
</body>
</html>
)",
                       title, kPageStyle, title, html_text(page.state), data_of(page), kECharts, kCharts, kPageScript);
}

}  // namespace sluice
