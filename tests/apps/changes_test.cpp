// A resume of a run whose data, config or branch are not what they were: all of it is told, and nothing is lost.
#include <algorithm>

#include "apps/program.h"
#include "data/shard_set.h"

namespace sluice {
namespace {

class Changes : public Program {
 protected:
    void SetUp() override {
        Program::SetUp();
        std::string yaml = kConfig;  // model.vocab is the data's
        yaml.erase(yaml.find("  vocab: 97\n"), 12);
        yaml.replace(yaml.find("  train: [{path: train.bin}]"), 28, "  train: [{path: shards}]");
        yaml.erase(yaml.find("  validation:"), yaml.find("  sequence_length") - yaml.find("  validation:"));
        std::ofstream(folder_ / "c.yaml") << yaml;
        set("web", 97, 3);
    }
    // A set of that many shards, as sluice-data leaves it.
    void set(const std::string& name, int64_t vocab, int count, int32_t seed = 0) {
        ShardSet set{"gone.json", "of " + std::to_string(vocab), vocab, 0, {}};
        fs::create_directories(folder_ / "shards");
        for (int i = 0; i < count; i++) {
            const std::string file = name + "_00000" + std::to_string(i) + ".bin";
            std::vector<int32_t> tokens(size_t(16 * (8 + i) + 1));
            for (size_t k = 0; k < tokens.size(); k++)
                tokens[k] = int32_t((k * k + size_t(seed + i) * k) % size_t(vocab));
            write_shard(folder_ / "shards" / file, tokens, vocab);
            set.shards.push_back({file, int64_t(tokens.size()), 1, 100, *std::max_element(tokens.begin(), tokens.end()),
                                  std::to_string(seed) + "." + std::to_string(i)});
        }
        write_shard_set(folder_ / "shards" / (name + ".json"), set);
    }
    void foreign(const std::string& name) { write_shard(folder_ / "shards" / name, std::vector<int32_t>(81, 5), 97); }
    void first_run(const std::string& more = "") {
        const Ended first = run("train c.yaml checkpoint.every=4 " + more);
        ASSERT_EQ(first.code, 0) << first.err;
        cut_back();
    }
    void cut_back() {
        fs::remove_all(folder_ / "runs/a/checkpoints/step-00000008");
        fs::remove_all(folder_ / "runs/a/checkpoints/step-00000012");
    }
    static bool has(const std::string& text, const std::string& word) { return text.find(word) != std::string::npos; }
    static int count(const std::string& text, const std::string& word) {
        int n = 0;
        for (size_t at = 0; (at = text.find(word, at)) != std::string::npos; at++) n++;
        return n;
    }
    // One error, with all of these words and this code.
    void refuses(const std::vector<std::string>& words, const std::string& more = "", int code = 4, int ranks = 1) {
        const std::string log = text("runs/a/log.txt");
        const Ended refused = run("train c.yaml " + more, ranks);
        EXPECT_EQ(refused.code, code) << more << refused.err;
        for (const auto& word : words) EXPECT_TRUE(has(refused.err, word)) << word << "\n" << refused.err;
        EXPECT_EQ(count(refused.err, "error: "), 1) << refused.err;
        EXPECT_EQ(text("runs/a/log.txt"), log);
    }
};

// ---------------------------------------------------------------- data that a config cannot be loaded with
TEST_F(Changes, AForeignShardIsAnAddedOne) {
    first_run();
    foreign("more.bin");
    refuses({"data.train.0 (shards): was added: more.bin (81 tokens)"});
    refuses({"was added: more.bin"}, "", 4, 2);
    const Ended on = run("train c.yaml checkpoint.allow_change=true");
    ASSERT_EQ(on.code, 0) << on.err;
    EXPECT_TRUE(has(on.err, "model.vocab: 97, of the checkpoint that the run resumes from")) << on.err;
    EXPECT_TRUE(has(on.err, "changed on resume: data.train.0 (shards): was added: more.bin")) << on.err;
    EXPECT_EQ(course("a").size(), 12u);
}

TEST_F(Changes, AForeignShardUnderASetsNameIsAnAddedOne) {
    first_run();
    foreign("web_000003.bin");  // its set does not list it
    refuses({"was added: web_000003.bin (81 tokens)"});
}

TEST_F(Changes, AllShardsAreGone) {
    first_run();
    const std::string all =
        "is no longer there: web_000000.bin (129 tokens), web_000001.bin (145 tokens), "
        "web_000002.bin (161 tokens)";
    for (int i = 0; i < 3; i++) fs::remove(folder_ / "shards" / ("web_00000" + std::to_string(i) + ".bin"));
    refuses({all});
    fs::remove_all(folder_ / "shards");
    refuses({all});
    refuses({all}, "", 4, 2);
    refuses({all}, "train.epochs=1 train.steps=null");
    refuses({"shards: no token shards there"}, "checkpoint.allow_change=true", 3);
    refuses({"model.vocab is not given"}, "run.name=new", 3);
}

TEST_F(Changes, ASetsFileIsGone) {
    first_run("'data.train=[{path: shards/web.json}]'");
    fs::remove(folder_ / "shards/web_000001.bin");
    refuses({"is no longer there: web_000001.bin (145 tokens)"}, "'data.train=[{path: shards/web.json}]'");
    fs::remove(folder_ / "shards/web.json");
    refuses({"is no longer there: web_000000.bin"}, "'data.train=[{path: shards/web.json}]'");
}

TEST_F(Changes, AShardCannotBeRead) {
    first_run();
    std::ofstream(folder_ / "shards/web_000001.bin") << "no shard";
    refuses({"data.train.0 (shards): cannot be read: shards/web_000001.bin: too short"});
    set("web", 97, 3);
    std::ofstream(folder_ / "shards/notes.bin") << "no shard";
    refuses({"cannot be read: shards/notes.bin: too short"});
    fs::remove(folder_ / "shards/notes.bin");
    fs::create_directories(folder_ / "shards/next.partial");
    foreign("next_000000.bin");
    refuses({"cannot be read: shards/next_000000.bin: sluice-data was interrupted"});
}

TEST_F(Changes, AnotherTokenizer) {
    first_run();
    set("web", 120, 3, 7);  // all of it is made anew, with more ids
    refuses({"holds other tokens: web_000000.bin (129 tokens)", "web_000002.bin"});
    refuses({"outside the vocabulary of 97"}, "checkpoint.allow_change=true", 3);
    set("web", 90, 3, 7);
    refuses({"holds other tokens: web_000000.bin (129 tokens)"});
    const Ended on = run("train c.yaml checkpoint.allow_change=true");
    EXPECT_EQ(on.code, 0) << on.err;
    EXPECT_TRUE(has(on.err, "of the checkpoint that the run resumes from: the data record 90")) << on.err;
    cut_back();
    set("web", 97, 3);
    set("zoo", 90, 1, 3);
    refuses({"was added: zoo_000000.bin"});
    refuses({"made with another tokenizer"}, "checkpoint.allow_change=true", 3);
}

TEST_F(Changes, WithAVocabularyGivenToo) {
    first_run("model.vocab=97");
    fs::remove_all(folder_ / "shards");
    refuses({"is no longer there: web_000000.bin"}, "model.vocab=97");
    set("web", 97, 3);
    set("zoo", 90, 1, 3);
    refuses({"was added: zoo_000000.bin"}, "model.vocab=97");
}

TEST_F(Changes, TheSameDataThatCannotBeReadAreNoOtherData) {
    first_run();
    std::ofstream(folder_ / "shards/web.json") << "{";
    refuses({"web.json"}, "", 3);
}

TEST_F(Changes, ADocumentMaskOverAForeignShard) {
    set("doc", 97, 1);
    ShardWriter writer(folder_ / "shards/doc_000000.bin", 97);
    const std::vector<int32_t> tokens(129, 3);
    writer.begin_document(100);
    writer.add(tokens.data(), 129);
    writer.close();
    const std::string mask = "data.document_mask=true 'data.train=[{path: \"shards/[d-m]*.bin\"}]'";
    first_run(mask);
    foreign("more.bin");
    refuses({"was added: more.bin"}, mask);
}

TEST_F(Changes, FromAStepThatIsNamed) {
    first_run();
    foreign("more.bin");
    refuses({"was added: more.bin"}, "run.name=b checkpoint.resume=runs/a/checkpoints/step-00000004");
    refuses({"was added: more.bin"}, "checkpoint.resume=runs/a");
}

// ---------------------------------------------------------------- all changes at once
TEST_F(Changes, AllAreToldInOneLine) {
    first_run();
    foreign("more.bin");
    refuses({"optimizer.lr: 0.01 -> 0.02; train.steps: 12 -> 16; data.train.0 (shards): was added: more.bin"},
            "optimizer.lr=0.02 train.steps=16");
    refuses({"cannot resume with another model: model.ffn.hidden: 48 -> 64; model.layers: 2 -> 3 (start",
             "the course would change too: optimizer.lr: 0.01 -> 0.02; data.train.0 (shards): was added: more.bin"},
            "model.ffn.hidden=64 model.layers=3 optimizer.lr=0.02");
    refuses({"cannot resume with another model: model.layers: 2 -> 3"},
            "model.layers=3 optimizer.lr=0.02 checkpoint.allow_change=true");
    fs::remove(folder_ / "shards/more.bin");
    refuses({"resuming would change the course: optimizer.lr: 0.01 -> 0.02 (set"}, "optimizer.lr=0.02");
    fs::rename(folder_ / "shards", folder_ / "elsewhere");
    refuses({"optimizer.lr: 0.01 -> 0.02; data.train.0 (shards): is no longer there: web_000000.bin"},
            "optimizer.lr=0.02");
}

TEST_F(Changes, OfManyTheFirstFewAreTold) {
    first_run();
    foreign("more.bin");
    refuses({"optimizer.beta1: 0.9 -> 0.8; ", " and 2 more; data.train.0 (shards): was added: more.bin"},
            "optimizer.lr=0.02 optimizer.beta1=0.8 optimizer.beta2=0.8 optimizer.eps=1e-7 optimizer.weight_decay=0 "
            "optimizer.grad_clip=2 train.batch=8 run.seed=9");
}

TEST_F(Changes, SourcesOldAndNew) {
    const std::string one = "'data.train=[{path: shards/web_000000.bin}, {path: shards/web_000001.bin}]'";
    first_run(one);
    refuses({"data.train.0.path: shards/web_000000.bin -> shards/web_000002.bin; data.train.0 "
             "(shards/web_000002.bin): is no longer there: web_000000.bin (129 tokens), was added: web_000002.bin "
             "(161 tokens) (set"},
            "'data.train=[{path: shards/web_000002.bin}, {path: shards/web_000001.bin}]'");
    refuses({"data.train.1.weight: 1 -> (absent); data.train.1.path: shards/web_000001.bin -> (absent)"},
            "'data.train=[{path: shards/web_000000.bin}]'");
}

// ---------------------------------------------------------------- the rows of a branch
class BranchRows : public Changes {
 protected:
    void SetUp() override {
        Changes::SetUp();
        ASSERT_EQ(run(on_ + "train.steps=8").code, 0);
        a_ = course("a");
        ASSERT_EQ(run(on_ + "train.steps=8 optimizer.lr=0.02 checkpoint.allow_change=true "
                            "checkpoint.resume=runs/a/checkpoints/step-00000004")
                      .code,
                  0);
        b_ = course("a");
        ASSERT_EQ(b_.size(), 8u);
        ASSERT_NE(a_[7], b_[7]);
    }
    const std::string on_ = "train c.yaml checkpoint.every=2 ";
    const std::string aside_ = "runs/a/checkpoints_set_aside_";
    std::vector<std::string> a_, b_;
};

TEST_F(BranchRows, ComeBackWithWhatWasSetAside) {
    const std::string back = on_ + "train.steps=8 checkpoint.resume=" + aside_ + "1/step-00000008";
    ASSERT_EQ(run(back).code, 0);
    EXPECT_EQ(course("a"), a_);
    const Ended runs = run("runs --json");
    EXPECT_TRUE(has(runs.out, "\"loss\"")) << runs.out;
    const std::string rows = text("runs/a/metrics.jsonl");
    for (int i = 0; i < 2; i++) {
        ASSERT_EQ(run(back).code, 0) << "once more";
        EXPECT_EQ(text("runs/a/metrics.jsonl"), rows);
    }
    EXPECT_FALSE(fs::exists(folder_ / (aside_ + "3")));
    // To B again, out of the second folder, from the step where it was one with A.
    ASSERT_EQ(run(on_ + "train.steps=8 optimizer.lr=0.02 checkpoint.resume=" + aside_ + "2/step-00000006").code, 0);
    EXPECT_EQ(course("a"), b_);
    // And to A, whose step 8 was only a link in the third, then on.
    ASSERT_EQ(
        run(on_ + "train.steps=10 checkpoint.allow_change=true checkpoint.resume=" + aside_ + "3/step-00000008").code,
        0);
    const auto longer = course("a");
    ASSERT_EQ(longer.size(), 10u);
    EXPECT_TRUE(std::equal(a_.begin(), a_.end(), longer.begin()));
}

TEST_F(BranchRows, InARunOfAnotherName) {
    const std::string other = on_ + "run.name=b train.steps=10 optimizer.lr=0.02 checkpoint.allow_change=true ";
    const std::string from_a = "checkpoint.resume=" + aside_ + "1/step-00000006";
    ASSERT_EQ(run(other + from_a).code, 0);
    auto rows = course("b");
    ASSERT_EQ(rows.size(), 10u);
    EXPECT_TRUE(std::equal(a_.begin(), a_.begin() + 6, rows.begin()));
    ASSERT_EQ(run(other + from_a).code, 0);
    EXPECT_EQ(course("b"), rows);
    ASSERT_EQ(run(other + "checkpoint.resume=runs/a/checkpoints/step-00000006").code, 0);
    rows = course("b");
    EXPECT_TRUE(std::equal(b_.begin(), b_.begin() + 6, rows.begin()));
}

}  // namespace
}  // namespace sluice
