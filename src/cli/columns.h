// A line of columns, "step 120/18865 | loss 5.8123 | gn 1.204", that fits: where there is no room for all, the least
// important are left out.
#pragma once
#include <string>
#include <vector>

namespace sluice {

struct Column {
    std::string text;
    int importance = 0;       // the greater, the longer it is kept; of equals the first
    const char* colour = "";  // an escape sequence; used where the line is coloured
};
using Columns = std::vector<Column>;

// What a terminal needs for a line, at most: letters of scripts that may be wide count as two.
int columns_of(const std::string& text);

// The columns in their order, within `width`; the last one left is cut off. Width 0: all of them.
std::string join(Columns columns, int width, bool coloured = false);

}  // namespace sluice
