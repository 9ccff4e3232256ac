// What the emulator says of a kernel with a bug.
#pragma once
#include <filesystem>
#include <string>

#include "tests/emu/on_device.h"

namespace sluice {

class Found : public Emulator {
 protected:
    // "found_test.cpp:34" of a line of the calling file.
    static std::string place(int line, const char* file = __builtin_FILE()) {
        return std::filesystem::path(file).filename().string() + ":" + std::to_string(line);
    }
    // Runs a kernel in every order, each of which must say `what`, at a line of the calling file where `line` is not 0.
    template <class K>
    void finds(const K& kernel, const std::string& what, int line = 0, const LaunchShape& shape = {},
               const char* file = __builtin_FILE()) {
        for (const auto order : {emu::Order::forward, emu::Order::reverse, emu::Order::seeded}) {
            emu::options().order = order;
            const std::string said = run(kernel, shape);
            EXPECT_NE(said.find(what), said.npos) << "said: " << said;
            EXPECT_NE(said.find("an_op rows 3: "), said.npos) << said;
            if (line > 0) { EXPECT_NE(said.find(place(line, file)), said.npos) << "said: " << said; }
        }
        emu::options().order = emu::Order::forward;
    }
    // The same in one order.
    template <class K>
    void says(emu::Order order, const K& kernel, const std::string& what) {
        emu::options().order = order;
        const std::string said = run(kernel);
        EXPECT_NE(said.find(what), said.npos) << "said: " << said;
        emu::options().order = emu::Order::forward;
    }
};

}  // namespace sluice
