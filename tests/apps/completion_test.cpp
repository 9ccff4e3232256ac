// Completion for bash, asked as bash asks it.
#include <gtest/gtest.h>

#include <cstdio>
#include <sstream>
#include <string>

#include "base/file.h"
#include "support/folder.h"

namespace sluice {
namespace {

std::string printed(const std::string& command) {
    FILE* out = popen(command.c_str(), "r");
    std::string text;
    char buffer[4096];
    while (size_t n = fread(buffer, 1, sizeof buffer, out)) text.append(buffer, n);
    pclose(out);
    return text;
}

// What is offered for a line of words, the last of which is being typed.
std::string offered(const std::string& program, const std::string& words) {
    const Folder folder;
    write_file(folder / "ask", "cd /; source '" SLUICE_SOURCE_DIR "/scripts/completion.bash'; COMP_WORDS=('" + program +
                                   "' " + words +
                                   "); COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); _sluice\n"
                                   "echo \" ${COMPREPLY[*]} \"\n");
    return printed("bash '" + (folder / "ask").string() + "' 2>&1");
}
void expect(const std::string& text, const std::string& word) {
    EXPECT_NE(text.find(" " + word + " "), std::string::npos) << word << " is not in: " << text;
}

TEST(Completion, CommandsOptionsKeysAndValues) {
    const std::string sluice = SLUICE_PROGRAM, data = SLUICE_DATA_PROGRAM;
    for (const char* command : {"train", "eval", "sample", "inspect", "plan", "config", "runs", "sweep", "report",
                                "bench", "help", "--version"})
        expect(offered(sluice, "''"), command);
    EXPECT_EQ(offered(sluice, "tr"), " train \n");
    EXPECT_EQ(offered(data, "tok"), " tokenize \n");
    expect(offered(data, "tokenize --"), "--tokenizer");
    expect(offered(sluice, "plan c.yaml --"), "--gpu");
    expect(offered(sluice, "bench step --"), "--json");
    expect(offered(sluice, "inspect runs/a --"), "--text-file");
    expect(offered(sluice, "sweep s.yaml --"), "--dry-run");
    EXPECT_EQ(offered(sluice, "train c.yaml optimizer.l"), " optimizer.lr= \n");
    EXPECT_EQ(offered(sluice, "train c.yaml schedule.kind ="), " cosine linear wsd constant \n");
    EXPECT_EQ(offered(sluice, "train c.yaml schedule.kind = w"), " wsd \n");
    EXPECT_EQ(offered(sluice, "train c.yaml model.qk_norm = t"), " true \n");
    EXPECT_EQ(offered(sluice, "train c.yaml model.attention.0-3.w"), " model.attention.0-3.window= \n");
    EXPECT_EQ(offered(sluice, "train c.yaml model.attention.4.kind = r"), " rela \n");
    EXPECT_EQ(offered(sluice, "train c.yaml model.gates.0.b"), " model.gates.0.bias= \n");
    EXPECT_EQ(offered(sluice, "train c.yaml model.gates.4-7.1.position = k"), " key \n");
    EXPECT_EQ(offered(sluice, "train c.yaml spikes.action ="), " none skip rewind \n");
    EXPECT_EQ(offered(sluice, "sweep s.yaml sweep.p"), " sweep.parallel= \n");
    EXPECT_EQ(offered(sluice, "sweep s.yaml optimizer.l"), " optimizer.lr= \n");
    EXPECT_EQ(offered(sluice, "sweep s.yaml seed"), " seeds= \n");
    EXPECT_EQ(offered(sluice, "sweep s.yaml match ="), " none parameters flops \n");
    EXPECT_EQ(offered(sluice, "sweep s.yaml sweep.stop_on_divergence = f"), " false \n");
    EXPECT_EQ(offered(sluice, "train s.yaml sweep.p"), "  \n");
    EXPECT_EQ(offered(sluice, "train et"), " etc \n");  // a file
    EXPECT_EQ(offered(sluice, "runs et"), " etc \n");
    expect(offered(sluice, "runs --"), "--json");
    EXPECT_EQ(offered(sluice, "help tr"), " train \n");
    EXPECT_EQ(offered(sluice, "help bench ''"), " step kernels \n");
    EXPECT_EQ(offered(data, "help tok"), " tokenize \n");
}

// All that a sweep file may have, as the program lists it, but `base`, which only a file may give.
TEST(Completion, KeysOfASweepAreThoseThatTheProgramKnows) {
    const Folder folder;
    write_file(folder / "s.yaml", "unheard-of: 1\nsweep: {unheard-of: 1}\n");
    const std::string keys = offered(SLUICE_PROGRAM, "sweep s.yaml ''");
    std::istringstream errors(printed("'" SLUICE_PROGRAM "' sweep '" + (folder / "s.yaml").string() + "' 2>&1"));
    int known = 0;
    for (std::string line; std::getline(errors, line);) {
        const std::string list = "known keys are ",
                          section = line.find("sweep.unheard-of") < line.size() ? "sweep." : "";
        const size_t at = line.find(list);
        if (at == std::string::npos) continue;
        std::istringstream words(line.substr(at + list.size()));
        for (std::string word; words >> word; known++) {
            const std::string key = section + word.substr(0, word.find(','));
            if (key != "sweep" && key != "base") expect(keys, key + "=");
        }
    }
    EXPECT_EQ(known, 14) << "keys of a sweep";
}

}  // namespace
}  // namespace sluice
