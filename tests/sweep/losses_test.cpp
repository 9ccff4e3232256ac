// Losses of a run, read while it writes them.
#include "sweep/losses.h"

#include <gtest/gtest.h>

#include <fstream>

#include "support/folder.h"

namespace sluice {
namespace {

TEST(Losses, AreReadAsTheyCome) {
    const Folder folder;
    const auto append = [&](const std::string& text, bool anew = false) {
        std::ofstream(folder / "m", anew ? std::ios::trunc : std::ios::app) << text;
    };
    Losses losses(folder / "m");
    losses.read();
    EXPECT_FALSE(losses.last());
    EXPECT_FALSE(losses.diverged());
    append("{\"run\": {}}\nnonsense\n{\"step\": 1, \"loss\": 5.0, \"tokens_per_second\": 10}\n{\"step\": 2, \"los");
    losses.read();
    EXPECT_EQ(losses.last()->step, 1);
    EXPECT_EQ(losses.last()->tokens_per_second, 10);
    EXPECT_FALSE(losses.diverged());
    append("s\": 4.5}\n{\"step\": 3, \"eval/held/loss\": 9}\n");
    losses.read();
    EXPECT_EQ(losses.last()->step, 2);
    EXPECT_EQ(losses.last()->loss, 4.5);
    EXPECT_EQ(losses.first()->loss, 5);
    EXPECT_FALSE(losses.diverged());
    append("{\"step\": 4, \"loss\": 5.04}\n");
    losses.read();
    EXPECT_FALSE(losses.diverged());  // by less than batches differ
    EXPECT_EQ(losses.most_above_in_a_row(), 0);
    append("{\"step\": 5, \"loss\": 5.5}\n{\"step\": 5, \"loss\": null}\n{\"step\": 5, \"loss\": 6}\n");
    losses.read();
    EXPECT_EQ(losses.most_above_in_a_row(), 3);
    EXPECT_TRUE(losses.diverged());
    append("{\"step\": 6, \"loss\": 1}\n{\"step\": 7, \"loss\": null}\n");
    losses.read();
    EXPECT_EQ(losses.most_above_in_a_row(), 3);  // though a row came between
    EXPECT_TRUE(losses.diverged());
    append("{\"step\": 1, \"loss\": 2}\n", true);  // rows were set aside
    losses.read();
    EXPECT_EQ(losses.first()->loss, 2);
    EXPECT_EQ(losses.most_above_in_a_row(), 0);
    EXPECT_FALSE(losses.diverged());
}

}  // namespace
}  // namespace sluice
