// A small config, and what loading a text says.
#pragma once
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "base/check.h"
#include "config/load.h"

namespace sluice {

inline const std::string kSmall = R"(run: {name: small}
model: {layers: 4, hidden: 32, heads: 4, vocab: 256, ffn: {hidden: 48}}
data: {train: [{path: a.bin}], sequence_length: 16}
train: {steps: 10, batch: 8}
optimizer: {lr: 1e-3}
)";

using Overrides = std::vector<std::string>;

inline Config small(const Overrides& overrides = {}, Purpose purpose = Purpose::train) {
    return load_config_text(kSmall, "c.yaml", overrides, purpose).config;
}

// The lines of the error, or "" where the text loads.
inline std::string error_of(const std::string& text, const Overrides& overrides = {},
                            Purpose purpose = Purpose::train) {
    try {
        load_config_text(text, "c.yaml", overrides, purpose);
    } catch (const Failure& e) {
        EXPECT_EQ(e.code(), Exit::config);
        return e.what();
    }
    return "";
}

inline bool contains(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

// An override of kSmall that must be refused, naming `path` and saying `why`.
inline void expect_refused(const Overrides& overrides, const std::string& path, const std::string& why,
                           Purpose purpose = Purpose::train) {
    const std::string error = error_of(kSmall, overrides, purpose);
    EXPECT_TRUE(contains(error, path) && contains(error, why)) << overrides.back() << " -> " << error;
}
inline void expect_loads(const Overrides& overrides, Purpose purpose = Purpose::train) {
    EXPECT_EQ(error_of(kSmall, overrides, purpose), "") << overrides.back();
}

}  // namespace sluice
