// What a tokenizer.json may ask for beside merges: added tokens, and words taken whole.
#include <gtest/gtest.h>

#include <functional>

#include "base/file.h"
#include "base/json.h"
#include "support/folder.h"
#include "text/byte_level_bpe.h"
#include "text/support.h"

namespace sluice {
namespace {

// Ids of a text by gpt2_like.json, changed.
std::vector<int32_t> ids_of(const std::string& text, const std::function<void(Json&)>& change) {
    const Folder folder;
    Json json = fixture("gpt2_like");
    change(json);
    write_file(folder / "t.json", json.dump());
    return open_byte_level_bpe((folder / "t.json").string(), "")->encode(text);
}

TEST(BpeOptions, TheLongestAddedTokenWins) {
    const std::vector<std::string> names{"<x>", "<x>y", "<x>yz"};
    for (const auto& order : {std::vector<size_t>{0, 1, 2}, {2, 1, 0}, {1, 2, 0}}) {
        const auto add = [&](Json& json) {
            for (const size_t i : order)
                json["added_tokens"].push_back({{"id", 500 + int64_t(i)}, {"content", names[i]}, {"special", false}});
        };
        EXPECT_EQ(ids_of("<x><x>y<x>yz<x>", add), (std::vector<int32_t>{500, 501, 502, 500}));
    }
}

TEST(BpeOptions, AWordOfTheVocabularyIsTakenWholeWhereMergesAreIgnored) {
    const auto without_merges = [](bool ignored) {
        return [ignored](Json& json) {
            json["model"]["merges"] = Json::array();
            json["model"]["ignore_merges"] = ignored;
        };
    };
    const int32_t was = 323;  // " was" in the file
    EXPECT_EQ(ids_of(" was", without_merges(true)), std::vector<int32_t>{was});
    EXPECT_EQ(ids_of(" was", without_merges(false)).size(), 4u);
}

}  // namespace
}  // namespace sluice
