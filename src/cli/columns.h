// A line of columns, "step 120/18865 | loss 5.8123 | gn 1.204", that fits a width: if it does not, the least important
// columns are left out.
#pragma once
#include <string>
#include <vector>

namespace sluice {

struct Column {
    std::string text;
    int importance = 0;       // the least important is left out first; of equals the last
    const char* colour = "";  // an escape sequence, used if the line is coloured
};
using Columns = std::vector<Column>;

// Upper bound of the cells that a terminal needs for the text: characters that may be wide count as two.
int columns_of(const std::string& text);

// The columns in their order, within `width` cells; a single one is cut off if it is too wide. Width 0: all of them.
std::string join(Columns columns, int width, bool coloured = false);

}  // namespace sluice
