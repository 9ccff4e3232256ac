// How much of each file a tokenizer is trained on.
#include <gtest/gtest.h>

#include <cstdio>
#include <fstream>

#include "support/folder.h"

namespace sluice {
namespace {

// Lines of 1024 bytes, so that a mebibyte is 1024 of them; a file that is short leaves its share unused.
TEST(TrainTokenizer, FilesShareTheMegabytes) {
    const Folder folder;
    for (const auto& [name, lines] : {std::pair{"a.txt", 3000}, {"b.txt", 2500}, {"c.txt", 10}}) {
        std::ofstream out(folder / name);
        for (int i = 0; i < lines; i++) {
            std::string line;
            while (line.size() < 1000) line += "a line of text ";
            out << line.substr(0, 1000) << "number " << 1000000000 + i % 10 << "      \n";
        }
    }
    const std::string command = "'" SLUICE_DATA_PROGRAM "' train-tokenizer --vocab 280 --megabytes 3 --out '" +
                                (folder / "m.model").string() + "' '" + folder.path().string() + "' 2>/dev/null";
    std::FILE* out = popen(command.c_str(), "r");
    std::string text;
    char buffer[4096];
    while (const size_t n = fread(buffer, 1, sizeof buffer, out)) text.append(buffer, n);
    pclose(out);  // so plain a text may have too few pieces: what counts was said before
    EXPECT_NE(text.find("from 2058 lines"), std::string::npos) << text;
}

}  // namespace
}  // namespace sluice
