// Parameters: each layer lists its tensors once, v(prefix + name, pointer, {shape}, Init, Decay). Visitors count them,
// bind them to weights, gradients or moments, initialise them and name them in checkpoints.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

namespace sluice {

struct Init {
    enum Kind { normal, one, zero } kind = normal;
    double std = 0;
};
enum class Decay { no, yes };  // matrices decay; vectors, norms, constants and the embedding do not

struct TensorInfo {
    std::string name;
    std::vector<int64_t> shape;  // matrices [out, in]
    Init init;
    Decay decay;
    int64_t offset;  // first element within the flat set of all parameters
    int64_t count;
};

// Lists the tensors of a parameter set one after another, each aligned to 16 elements.
class TensorLister {
 public:
    template <class T>
    void operator()(const std::string& name, T*&, std::vector<int64_t> shape, Init init, Decay decay) {
        int64_t count = 1;
        for (int64_t extent : shape) count *= extent;
        tensors.push_back({name, std::move(shape), init, decay, end, count});
        end += (count + 15) / 16 * 16;
    }
    std::vector<TensorInfo> tensors;
    int64_t end = 0;  // elements, padding included
};

// Points a parameter set at a flat array that a TensorLister laid out.
template <class T>
class TensorBinder {
 public:
    explicit TensorBinder(T* base) : at_(base) {}
    void operator()(const std::string&, T*& pointer, const std::vector<int64_t>& shape, Init, Decay) {
        int64_t count = 1;
        for (int64_t extent : shape) count *= extent;
        pointer = at_;
        at_ += (count + 15) / 16 * 16;
    }

 private:
    T* at_;
};

}  // namespace sluice
