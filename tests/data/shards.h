// Shards that tests train on.
#pragma once
#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "base/check.h"
#include "data/data.h"
#include "data/shard_set.h"
#include "data/token_shard.h"
#include "support/folder.h"

namespace sluice {

inline DataSpec spec(std::vector<DataSource> sources, int64_t length) {
    DataSpec d;
    d.train = std::move(sources);
    d.sequence_length = length;
    return d;
}
inline std::vector<int32_t> count_from(int32_t first, size_t count) {
    std::vector<int32_t> tokens(count);
    for (size_t i = 0; i < count; i++) tokens[i] = first + int32_t(i);
    return tokens;
}

// A set of two shards as sluice-data writes it; the document of token 5 is cut by the first one's end.
inline void write_set(const Folder& folder, const std::string& fingerprint = "bytes") {
    ShardSet set{"bytes", fingerprint, 100, 0, {}};
    int32_t token = 0;
    for (const auto& [file, sizes] : {std::pair{"v_000000.bin", std::vector<int>{5, 2}}, {"v_000001.bin", {3, 2}}}) {
        ShardWriter writer(folder / file, 100);
        for (const int size : sizes) {
            writer.begin_document(10 * size, token == 7 ? 2 : 0);
            const auto tokens = count_from(token, size_t(size));
            writer.add(tokens.data(), size);
            token += size;
        }
        writer.close();
        set.shards.push_back({file, writer.size(), 2, token == 7 ? 70 : 50, writer.largest(), writer.hash()});
    }
    write_shard_set(folder / "v.json", set);
}

// What a call says when it fails; it must be with 3.
template <class Call>
std::string data_error(const Call& call) {
    try {
        call();
    } catch (const Failure& f) {
        EXPECT_EQ(f.code(), Exit::data) << f.what();
        return f.what();
    }
    return "";
}

}  // namespace sluice
