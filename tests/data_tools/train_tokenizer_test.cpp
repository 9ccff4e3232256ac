// How much of each file a tokenizer is trained on.
#include <gtest/gtest.h>

#include <cstdio>
#include <fstream>

#include "base/check.h"
#include "data_tools/commands.h"
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

// What is said to suffice does.
TEST(TrainTokenizer, SaysHowManyPiecesCharactersNeed) {
    const Folder folder;
    std::ofstream(folder / "a.txt") << "a text of \u4e00 few \u4e8c characters \u4e09 \u00e9\nand a second line\n";
    TrainTokenizerArgs args;
    args.inputs = {(folder / "a.txt").string()};
    args.out = (folder / "m.model").string();
    args.vocab = 262;
    try {
        train_tokenizer_command(args);
        FAIL() << "262 pieces suffice";
    } catch (const Failure& f) {
        EXPECT_EQ(f.code(), Exit::config);
        const std::string what = f.what(), before = "it must be at least ";
        ASSERT_NE(what.find(before), std::string::npos) << what;
        args.vocab = std::stoll(what.substr(what.find(before) + before.size()));
    }
    EXPECT_EQ(train_tokenizer_command(args), 0);
    EXPECT_TRUE(std::filesystem::exists(args.out));
}

}  // namespace
}  // namespace sluice
