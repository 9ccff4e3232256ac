#include "model/initial_values.h"

#include <algorithm>
#include <vector>

#include "base/rng.h"

namespace sluice {
namespace {

constexpr int64_t kPiece = 16384;  // elements that are worth a thread's start

// Elements that follow each other in the whole tensor, from `index` on, and in this rank's part, from `at` on.
struct Piece {
    int64_t at, index, count;
};

std::vector<Piece> pieces(const TensorInfo& tensor) {
    std::vector<Piece> all;
    const Box whole{std::vector<int64_t>(tensor.shape.size(), 0), tensor.shape};
    for_each_run(tensor.box, whole, tensor.box, [&](int64_t index, int64_t at, int64_t count) {
        for (int64_t i = 0; i < count; i += kPiece) all.push_back({at + i, index + i, std::min(kPiece, count - i)});
    });
    return all;
}

}  // namespace

template <class T>
void initial_values(T* to, const TensorInfo& tensor, int64_t seed) {
    if (tensor.init.kind != Init::normal) {
        std::fill_n(to, tensor.count, T(tensor.init.kind == Init::one ? 1 : 0));
        return;
    }
    const uint64_t key = mix(uint64_t(seed), hash_name(tensor.name));
    const std::vector<Piece> all = pieces(tensor);
#pragma omp parallel for schedule(static) if (tensor.count > kPiece)
    for (const Piece& piece : all)
        for (int64_t i = 0; i < piece.count; i++)  // rounded to float, so that every T starts from the same values
            to[piece.at + i] = T(float(tensor.init.std * normal(key, uint64_t(piece.index + i))));
}

template void initial_values(float*, const TensorInfo&, int64_t);
template void initial_values(double*, const TensorInfo&, int64_t);

}  // namespace sluice
