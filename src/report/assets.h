// Files that are compiled into the program, for reports that need nothing else (cmake/embed.cmake).
#pragma once
#include <string_view>

namespace sluice {

extern const std::string_view kPageStyle;   // src/report/page.css
extern const std::string_view kCharts;      // src/report/charts.js
extern const std::string_view kPageScript;  // src/report/page.js
extern const std::string_view kECharts;     // third_party/echarts/echarts.min.js

}  // namespace sluice
