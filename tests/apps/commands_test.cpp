// Commands as users type them: help, warnings, folders of runs as configs, lengths in tokens and epochs, lists of runs.
#include <algorithm>
#include <sstream>

#include "apps/program.h"
#include "support/matches.h"

namespace sluice {
namespace {

size_t count(const std::string& text, const std::string& part) {
    size_t n = 0;
    for (size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) n++;
    return n;
}
bool contains(const std::string& text, const std::string& part) { return count(text, part) > 0; }

class Commands : public Program {
 protected:
    Ended data(const std::string& arguments) {
        const std::string command =
            "cd '" + folder_.path().string() + "' && '" SLUICE_DATA_PROGRAM "' " + arguments + " >out 2>err";
        const int status = std::system(command.c_str());
        return {WEXITSTATUS(status), text("out"), text("err")};
    }
    // A set of bytes' ids, of 25 samples of 16.
    void write_set() {
        std::ofstream(folder_ / "text.txt") << std::string(16 * 25, 'x');
        ASSERT_EQ(data("tokenize text.txt --out shards --name own").code, 0);
    }
};

TEST_F(Commands, HelpIsPrintedWhereItIsAskedForOrNothingIs) {
    for (const auto& [words, part] : {std::pair{"", "Usage: sluice "},
                                      {"help", "Usage: sluice "},
                                      {"help help", "Usage: sluice "},
                                      {"help train", "Usage: sluice train "},
                                      {"train --help", "Usage: sluice train "},
                                      {"help bench step", "Usage: sluice bench step "}}) {
        const Ended help = run(words);
        EXPECT_EQ(help.code, 0) << words;
        EXPECT_TRUE(contains(help.out, part)) << help.out;
        EXPECT_EQ(help.err, "") << words;
    }
    for (const auto& [words, part] : {std::pair{"", "Usage: sluice-data "},
                                      {"help", "Usage: sluice-data "},
                                      {"help tokenize", "Usage: sluice-data tokenize "}}) {
        const Ended help = data(words);
        EXPECT_EQ(help.code, 0) << words;
        EXPECT_TRUE(contains(help.out, part)) << help.out;
    }
    for (const auto& [words, part] : {std::pair{"help trian", "did you mean 'train'"},
                                      {"train c.yaml --hlp", "did you mean '--help'"},
                                      {"eval runs/a --josn", "did you mean '--json'"},
                                      {"runs --jsno", "did you mean '--json'"},
                                      {"bench stp", "did you mean 'step'"},
                                      {"train --sead", "as in run.seed=VALUE"},
                                      {"help foo", "unknown command 'foo' (see sluice --help)"},
                                      {"runs --foo", "unknown option '--foo' (see sluice runs --help)"},
                                      {"train c.yaml --train.steps=3", "train.steps=3"}}) {
        const Ended wrong = run(words);
        EXPECT_EQ(wrong.code, 2) << words;
        EXPECT_TRUE(contains(wrong.err, part) && count(wrong.err, "\n") == 1) << wrong.err;
        EXPECT_EQ(wrong.out, "");
    }
    const Ended wrong = data("tokenize text.txt --out o --valdation 0.1");
    EXPECT_EQ(wrong.code, 2);
    EXPECT_TRUE(contains(wrong.err, "did you mean '--validation'")) << wrong.err;
    EXPECT_TRUE(contains(data("tokenise").err, "did you mean 'tokenize'"));
    for (const char* words : {"foo", "help foo", "inspect --foo", "tokenize --seed 3"})
        EXPECT_FALSE(contains(data(words).err, "mean") || contains(data(words).err, "keys")) << data(words).err;
    EXPECT_EQ(run("help >/dev/full; exit $?; :").code, 5);
}

// Every option that takes a number, as the pages of help tell.
TEST_F(Commands, NumbersOfEveryOptionAreRefusedUnlessTheyAreNumbers) {
    int options = 0;
    const auto try_all = [&](const std::string& command, const std::string& page, const auto& ask) {
        std::istringstream lines(page);
        for (std::string line; std::getline(lines, line);) {
            const auto found = find_match(line, "(--[a-z-]+) ([A-Z]+)");
            EXPECT_FALSE(contains(line, "FLOAT") || contains(line, " INT=") || contains(line, "UINT")) << line;
            if (found.empty() || (found[2] != "INT" && found[2] != "NUMBER")) continue;
            options++;
            for (const char* word : {"nan", "inf", "0x1p3", "1e999", "5x", "''", "' 5'", "010"}) {
                const Ended wrong = ask(command + " " + found[1] + " " + word);
                EXPECT_EQ(wrong.code, 2) << command << found[1] << word;
                EXPECT_TRUE(contains(wrong.err, "error: " + found[1] + ": ") && count(wrong.err, "\n") == 1)
                    << wrong.err;
            }
        }
    };
    for (const char* command : {"sample", "inspect", "plan", "runs", "eval", "train", "config"})
        try_all(command, run("help " + std::string(command)).out, [&](const std::string& words) { return run(words); });
    EXPECT_EQ(options, 5);
    for (const char* command : {"tokenize", "inspect", "train-tokenizer"})
        try_all(command, data("help " + std::string(command)).out,
                [&](const std::string& words) { return data(words); });
    EXPECT_EQ(options, 11);
}

TEST_F(Commands, WarningsAreToldOnce) {
    const std::string keys = "c.yaml 'schedule={kind: wsd, warmup_steps: 8, decay_steps: 8, final_lr: 1e-3}'";
    const Ended two = run("train " + keys, 2);
    EXPECT_EQ(two.code, 0) << two.err;
    EXPECT_EQ(count(two.err, "8 steps of warm-up and 8 of decay overlap in a run of 12 steps"), 1u) << two.err;
    double before = 0;
    for (const std::string& row : course("a")) {  // no step's rate jumps
        const double lr = std::stod(row.substr(row.rfind(' ') + 1));
        EXPECT_LE(std::abs(lr - before), 0.01 / 8 + 1e-9);
        before = lr;
    }
    EXPECT_NEAR(before, 1e-3, 1e-9);
    EXPECT_EQ(count(run("config " + keys).err, "overlap"), 1u);
    const Ended json = run("config --json " + keys);
    EXPECT_EQ(parse_json(json.out)["warnings"].size(), 1u);
    EXPECT_EQ(count(run("plan " + keys).err, "overlap"), 1u);
    EXPECT_EQ(count(run("config runs/a").err, "warning"), 0u);
    const Ended rising = run("train c.yaml schedule.final_lr=0.02", 2);
    EXPECT_EQ(rising.code, 2);
    EXPECT_EQ(count(rising.err, "0.02 is above optimizer.lr (0.01)"), 1u) << rising.err;
}

TEST_F(Commands, LengthInTokensAndEpochs) {
    // A step is 4 x 16 tokens, an epoch 25 samples.
    const Ended begun = run("train c.yaml train.steps=null train.tokens=700");
    ASSERT_EQ(begun.code, 0) << begun.err;
    EXPECT_TRUE(contains(begun.out, "step 11/11") && contains(begun.out, "1.76 epochs")) << begun.out;
    EXPECT_TRUE(contains(text("runs/a/config.yaml"), "steps: 11\n"));
    EXPECT_TRUE(contains(run("train c.yaml train.steps=null train.tokens=700").out, "finished"));
    EXPECT_TRUE(contains(run("train c.yaml train.steps=11").out, "finished"));
    EXPECT_TRUE(contains(run("train c.yaml train.steps=null train.tokens=704").out, "finished"));
    EXPECT_TRUE(contains(run("train c.yaml train.steps=null train.epochs=1.75").out, "finished"));
    const Ended longer = run("train c.yaml train.steps=null train.epochs=2");
    EXPECT_EQ(longer.code, 4);
    EXPECT_TRUE(contains(longer.err, "train.steps: 11 -> 13")) << longer.err;
    EXPECT_EQ(run("train c.yaml train.tokens=700").code, 2);
    EXPECT_TRUE(contains(run("config c.yaml train.steps=null train.epochs=2").out, "steps: 13 "));
    // Without the data a plan does, and says what it does not know.
    fs::remove(folder_ / "train.bin");
    const Ended plan = run("plan c.yaml train.steps=null train.epochs=2");
    EXPECT_EQ(plan.code, 0);
    EXPECT_TRUE(contains(plan.err, "train.epochs") && contains(plan.err, "train.bin")) << plan.err;
    EXPECT_EQ(run("train c.yaml run.name=b train.steps=null train.epochs=2").code, 3);
}

TEST_F(Commands, TheVocabularyMayBeTheDatas) {
    write_set();
    const std::string own = "c.yaml model.vocab=null 'data.train=[{path: shards/own.json}]' ";
    const Ended begun = run("train " + own + "'data.validation=[]'", 2);
    ASSERT_EQ(begun.code, 0) << begun.err;
    EXPECT_TRUE(contains(text("runs/a/config.yaml"), "vocab: 257\n"));
    EXPECT_TRUE(contains(run("train " + own + "'data.validation=[]'", 2).out, "finished"));
    EXPECT_TRUE(contains(run("plan runs/a").out, "parameters"));
    const Ended foreign = run("train " + own + "run.name=b", 2);  // the validation set is
    EXPECT_EQ(foreign.code, 2);
    EXPECT_EQ(count(foreign.err, "error: "), 1u) << foreign.err;
    EXPECT_TRUE(contains(foreign.err, "model.vocab") && contains(foreign.err, "train.bin")) << foreign.err;
    const Ended on = run("train " + own, 2);  // the checkpoint tells
    EXPECT_EQ(on.code, 0) << on.err;
    EXPECT_EQ(count(on.err, "warning: c.yaml:4:3: model.vocab: 257, of the checkpoint"), 1u) << on.err;
    const Ended small = run("train c.yaml run.name=b model.vocab=100 'data.train=[{path: shards/own.json}]'");
    EXPECT_EQ(small.code, 3);
    EXPECT_TRUE(contains(small.err, "raise model.vocab to 257")) << small.err;
}

TEST_F(Commands, ARunsFolderIsAConfig) {
    ASSERT_EQ(run("train c.yaml train.batch=8").code, 0);
    for (const char* where : {"runs/a", "runs/a/", "runs/a/checkpoints", "runs/a/checkpoints/step-00000008"}) {
        const Ended config = run(std::string("config --json ") + where + " train.micro_batch=2");
        ASSERT_EQ(config.code, 0) << config.err;
        EXPECT_EQ(parse_json(config.out)["train"]["batch"], 8) << where;
        EXPECT_EQ(parse_json(config.out)["train"]["micro_batch"], 2) << where;
        EXPECT_EQ(parse_json(config.out)["run"]["name"], "a") << where;
        // A manifest has no lines that a config's values could stand in; a run's config.yaml has.
        const bool file = fs::exists(folder_ / where / "config.yaml");
        const std::string origin = parse_json(config.out)["origins"]["train.batch"];
        EXPECT_TRUE(matches(origin, file ? "^runs/a/+config.yaml:[0-9]+:[0-9]+$"
                                         : "^runs/a/checkpoints/step-000000[0-9]+/manifest.json$"))
            << origin;
        EXPECT_EQ(parse_json(config.out)["origins"]["train.micro_batch"], "command line") << where;
        EXPECT_EQ(run(std::string("plan --json ") + where).code, 0) << where;
    }
    EXPECT_TRUE(contains(run("train runs/a").out, "finished"));
    const Ended step = run("train runs/a/checkpoints/step-00000008");
    EXPECT_EQ(step.code, 2);
    EXPECT_TRUE(contains(step.err, "checkpoint.resume=")) << step.err;
    EXPECT_EQ(run("config runs").code, 2);
    fs::remove(folder_ / "runs/a/config.yaml");
    std::ofstream(folder_ / "runs/a/checkpoints/step-00000012/manifest.json") << "{";
    EXPECT_TRUE(matches(run("config runs/a").out, "  batch: 8 +# runs/a/checkpoints/step-00000008/manifest.json\n"));
    EXPECT_EQ(run("config runs/a/checkpoints/step-00000012").code, 4);
    std::ofstream(folder_ / "more.yaml") << "train: {steps: 5}\n";
    EXPECT_TRUE(contains(run("config c.yaml more.yaml").out, "steps: 5 "));
}

// As the version before wrote it: no tokens, no epochs, a rate that rises.
TEST_F(Commands, CheckpointsOfBeforeLoad) {
    ASSERT_EQ(run("train c.yaml schedule.final_lr=0.01").code, 0);
    const fs::path path = folder_ / "runs/a/checkpoints/step-00000012/manifest.json";
    Json manifest = parse_json(text("runs/a/checkpoints/step-00000012/manifest.json"));
    std::string config = manifest["config"];
    for (const std::string line : {"  tokens: null\n", "  epochs: null\n"}) {
        ASSERT_TRUE(contains(config, line));
        config.erase(config.find(line), line.size());
    }
    EXPECT_TRUE(contains(config, "  final_lr: 0.01\n"));
    manifest["config"] = config;
    std::ofstream(path) << manifest.dump();
    EXPECT_TRUE(contains(run("train c.yaml schedule.final_lr=0.01").out, "finished"));
    config.replace(config.find("  final_lr: 0.01\n"), 17, "  final_lr: 0.05\n");
    manifest["config"] = config;
    std::ofstream(path) << manifest.dump();
    EXPECT_EQ(run("eval runs/a/checkpoints/step-00000012 --json").code, 0);
    EXPECT_EQ(run("plan runs/a/checkpoints/step-00000012").code, 0);
}

TEST_F(Commands, RunsAreListed) {
    EXPECT_EQ(run("runs").out, "no runs below runs\n");
    ASSERT_EQ(run("train c.yaml eval.every=6").code, 0);
    const std::string longest(120, 'n');
    ASSERT_EQ(run("train c.yaml train.steps=3 run.dir=runs/deep run.name=" + longest).code, 0);
    fs::remove_all(folder_ / "runs/deep" / longest / "checkpoints/step-00000003");
    fs::create_directories(folder_ / "runs/broken/checkpoints");
    std::ofstream(folder_ / "runs/broken/config.yaml") << "[";
    fs::create_directories(folder_ / "runs/new/checkpoints");
    const Ended table = run("runs");
    EXPECT_EQ(table.code, 0);
    EXPECT_EQ(count(table.err, "warning: ") * 10 + count(table.err, "\n"), 11u) << table.err;
    EXPECT_TRUE(contains(table.err, "runs/broken/config.yaml:1:"));
    std::istringstream lines(table.out);
    std::string states, line;
    for (int n = 0; std::getline(lines, line); n++) {
        EXPECT_LE(line.size(), 80u) << line;
        std::string name, state;
        std::istringstream(line) >> name >> state;
        if (n > 0) states += state + " ";
    }
    EXPECT_EQ(states, "done damaged partial empty ") << table.out;
    EXPECT_TRUE(contains(table.out, "12/12")) << table.out;

    const Json runs = parse_json(run("runs --json").out)["runs"];
    ASSERT_EQ(runs.size(), 4u);
    EXPECT_EQ(runs[0]["folder"], "runs/a");
    EXPECT_EQ(runs[0]["state"], "done");
    EXPECT_EQ(runs[0]["step"], 12);
    EXPECT_EQ(runs[0]["best_validation"]["set"], "held");
    EXPECT_EQ(runs[0]["validation"]["held"]["loss"], runs[0]["best_validation"]["loss"]);
    std::vector<double> losses;
    std::istringstream rows(text("runs/a/metrics.jsonl"));
    while (std::getline(rows, line))
        if (const Json row = parse_json(line); row.contains("eval/held/loss"))
            losses.push_back(row["eval/held/loss"].get<double>());
    EXPECT_EQ(runs[0]["best_validation"]["loss"].get<double>(), *std::min_element(losses.begin(), losses.end()));
    EXPECT_EQ(runs[0]["loss"].get<double>(), std::stod(course("a").back()));
    EXPECT_GE(runs[0]["age_seconds"].get<double>(), 0);
    EXPECT_TRUE(runs[1]["step"].is_null() && runs[1]["why"].is_string());
    EXPECT_EQ(runs[2]["step"], 3);
    EXPECT_EQ(runs[2]["steps"], 3);
    EXPECT_EQ(parse_json(run("runs runs/deep --json").out)["runs"].size(), 1u);
    EXPECT_EQ(run("runs nowhere").code, 2);
    EXPECT_EQ(run("runs --json >/dev/full; exit $?; :").code, 5);
}

}  // namespace
}  // namespace sluice
