// What stands beside a key serves everything that needs it: no list repeats it, and no key is forgotten.
#include "config/attributes.h"

#include <nlohmann/json.hpp>
#include <type_traits>

#include "config/text.h"
#include "config/visit.h"

namespace sluice {
namespace {

// A key that does not say what a change of it does is no program.
static_assert(!std::is_default_constructible_v<Attributes>);

struct Declared {
    std::string path;  // with N for the index of an element
    Attributes attributes;
};
std::vector<Declared> declared() {
    std::vector<Declared> keys;
    walk_keys(Config{}, "", [&]<class T>(const std::string& path, T&, const char*, const Attributes& attributes) {
        EXPECT_EQ(attributes.changes == Change::by_key, Spec<T>) << path << ": keys say it, sections leave it to them";
        if (!Spec<T>) keys.push_back({path, attributes});
    });
    return keys;
}
std::string first_element(std::string path) {
    if (const size_t n = path.find(".N."); n != std::string::npos) path[n + 1] = '0';
    return path;
}

// What docs/checkpoints.md promises. A new key under another section than these must say in its spec what it does.
Change promised(const std::string& path) {
    if (path.starts_with("model.")) return Change::model;
    if (path == "train.precision" || path == "train.attention") return Change::rounding;
    if (path.starts_with("data.validation") || path == "data.tokenizer") return Change::nothing;
    const bool course = path.starts_with("optimizer.") || path.starts_with("schedule.") || path.starts_with("data.") ||
                        path.starts_with("spikes.") || path == "train.steps" || path == "train.batch" ||
                        path == "run.seed";
    return course ? Change::course : Change::nothing;
}

TEST(Attributes, EveryKeyChangesWhatIsPromised) {
    const auto keys = declared();
    EXPECT_GT(keys.size(), 90u);
    for (auto& [path, attributes] : keys) {
        EXPECT_EQ(attributes.changes, promised(path)) << path;
        EXPECT_EQ(change_of(first_element(path)), attributes.changes) << path;
    }
}

TEST(Attributes, EveryLeafChangesWhatItsKeyDoes) {
    for (const char* gates : {"[]", "[{position: key}]", "{0-1: [{bias: true}], 2: []}"})
        for (auto& [path, text] : flatten(small({std::string("model.gates=") + gates, "data.validation=[]"})))
            EXPECT_EQ(change_of(path), promised(path)) << path;
    for (auto& [path, text] : flatten(small({"model.attention={0-1: {window: 4}, 3: {}}"})))
        EXPECT_EQ(change_of(path), promised(path)) << path;
    EXPECT_EQ(change_of("data.validation.12.path"), Change::nothing);
    EXPECT_EQ(change_of("data.train.12.path"), Change::course);
    EXPECT_THROW(change_of("optimizer.gamma"), Failure);
    EXPECT_THROW(change_of("optimizer"), Failure);
}

// Overrides that give all that a dense model, or one with experts, needs, but for one key.
Overrides all_but(const std::string& left_out, bool experts) {
    Overrides overrides;
    for (auto& [path, text] : flatten(small()))
        if (path != left_out && text != "null" && !path.starts_with("data.train") && path != "data.validation")
            overrides.push_back(path + "=" + text);
    if (experts)
        for (const std::string path : {"model.moe.experts", "model.moe.top_k", "model.moe.hidden"}) {
            std::erase_if(overrides, [&](auto& given) { return given.starts_with(path + "="); });
            if (path != left_out) overrides.push_back(path + "=2");
        }
    const auto list = [&](const std::string& path, const std::vector<std::pair<std::string, std::string>>& keys) {
        std::string element;
        for (auto& [key, value] : keys)
            if (path + ".N." + key != left_out) element += (element.empty() ? "" : ", ") + key + ": " + value;
        if (path != left_out) overrides.push_back(path + "=[{" + element + "}]");
    };
    list("data.train", {{"path", "a.bin"}, {"weight", "1"}});
    list("data.validation", {{"name", "v"}, {"path", "b.bin"}});
    return overrides;
}

TEST(Attributes, EveryRequiredKeyThatIsLeftOutIsNamed) {
    ASSERT_EQ(error_of("", all_but("", false)), "");
    ASSERT_EQ(error_of("", all_but("", true)), "");
    size_t required = 0;
    for (auto& [path, attributes] : declared()) {
        const Required when = attributes.required;
        const bool experts = when == Required::with_experts;
        const std::string error = error_of("", all_but(path, experts));
        if (when == Required::no) {
            const bool asks_data = path == "model.vocab";  // and there are none
            EXPECT_EQ(error.empty(), !asks_data) << path << " -> " << error;
            continue;
        }
        required++;
        EXPECT_TRUE(contains(error, first_element(path) + ": ")) << path << " -> " << error;
        EXPECT_FALSE(contains(error, "\n")) << path << " -> " << error;
        const bool for_a_run = when == Required::in_training || when == Required::this_tokens_or_epochs;
        EXPECT_EQ(error_of("", all_but(path, experts), Purpose::plan).empty(), for_a_run) << path;
        const bool other_model = when == Required::without_experts || when == Required::with_experts;
        EXPECT_EQ(error_of("", all_but(path, !experts)).empty(), other_model) << path;
    }
    EXPECT_GE(required, 14u);
}

TEST(Attributes, ReferenceTellsWhatIsRequiredAndWhatIsDerived) {
    const auto json = nlohmann::json::parse(reference_json());
    const auto keys = declared();
    EXPECT_EQ(json.size(), keys.size() + 1);  // and `base`, which is no key of a Config
    for (auto& [path, attributes] : keys) {
        const std::string help = json[path]["help"], from = attributes.default_from;
        const bool required = attributes.required != Required::no;
        EXPECT_EQ(contains(help, " (required"), required) << path << ": " << help;
        EXPECT_EQ(contains(help, " (default: " + from + ")"), !from.empty()) << path << ": " << help;
        EXPECT_EQ(json[path]["default"] == "-", required || !from.empty()) << path;
        EXPECT_FALSE(required && !from.empty()) << path << ": what is required has no default";
    }
    EXPECT_EQ(json["model.moe.top_k"]["help"], "experts per token (required with experts)");
    EXPECT_EQ(json["model.ffn.hidden"]["help"], "width of the SwiGLU layer (required without experts)");
    EXPECT_EQ(json["train.steps"]["help"], "optimizer steps (required: this, tokens or epochs)");
    EXPECT_EQ(json["model.head_dim"]["help"], "width of a head (default: hidden / heads)");
    EXPECT_EQ(json["train.batch"]["help"], "sequences per step, over all ranks (required)");
}

}  // namespace
}  // namespace sluice
