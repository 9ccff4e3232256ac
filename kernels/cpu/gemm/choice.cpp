#include "kernels/cpu/gemm/choice.h"

#include <bit>
#include <sstream>

namespace sluice {

GemmKey key_of(const GemmShape& shape, int threads) {
    GemmKey key{shape, threads};
    int64_t& rows = shape.transpose_a ? key.shape.k : key.shape.m;
    if (shape.ragged) rows = int64_t(std::bit_ceil(uint64_t(rows)));
    return key;
}

std::string to_line(const GemmKey& key, GemmAlgorithm algorithm) {
    const GemmShape& g = key.shape;
    std::ostringstream line;
    line << enum_name(algorithm) << ' ' << g.m << 'x' << g.n << 'x' << g.k << ' ' << (g.transpose_a ? 't' : 'n')
         << (g.transpose_b ? 't' : 'n') << (g.accumulate ? " add" : " set") << (g.ragged ? " ragged" : "")
         << " threads " << key.threads;
    return line.str();
}

bool add_line(GemmChoices& choices, const std::string& line) {
    GemmKey key{};
    GemmShape& g = key.shape;
    std::istringstream in(line);
    std::string algorithm_word, transposed, into, word;
    char x = 0, y = 0;
    in >> algorithm_word >> g.m >> x >> g.n >> y >> g.k >> transposed >> into >> word;
    g.ragged = word == "ragged";
    if (g.ragged) in >> word;
    in >> key.threads;
    g.transpose_a = transposed[0] == 't';
    g.transpose_b = transposed.size() == 2 && transposed[1] == 't';
    g.accumulate = into == "add";
    GemmAlgorithm algorithm{};
    const bool read = !in.fail() && g.m > 0 && g.n > 0 && g.k > 0 && key.threads > 0 &&
                      enum_value(algorithm_word, algorithm) && to_line(key, algorithm) == line;
    if (read) choices[key] = algorithm;
    return read;
}

}  // namespace sluice
