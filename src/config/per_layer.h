// A value for each layer, as `model.gates` and `model.attention` are given: one for all layers, or a map
// {0-3: VALUE, 4: VALUE} of layer ranges, counted from 0, both ends included.
#pragma once
#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

namespace sluice {

struct LayerRange {
    int64_t first = 0, last = 0;
};
// "0-11", or "12" for a single layer.
std::string range_key(const LayerRange& range);
// Reads such a key. False: it is not a range.
bool read_range(const std::string& key, LayerRange& range);
// True if the key begins with a digit or a dash, which no key of a spec does.
bool meant_as_range(const std::string& key);
// True if any key of the map is meant as a range.
struct Node;
bool holds_ranges(const Node& map);

template <class T>
struct PerLayer {
    struct Range : LayerRange {
        T value;
    };
    bool per_layer = false;     // true: given as ranges; false: as `all`
    T all = {};                 // the value of all layers
    std::vector<Range> ranges;  // sorted, disjoint

    // A layer that is in no range has a default T.
    const T& at(int64_t layer) const {
        static const T kDefault = {};
        if (!per_layer) return all;
        for (auto& range : ranges)
            if (range.first <= layer && layer <= range.last) return range.value;
        return kDefault;
    }
    // Whether both name the same layers, whatever their values.
    bool same_ranges(const PerLayer& other) const {
        return per_layer == other.per_layer &&
               std::equal(
                   ranges.begin(), ranges.end(), other.ranges.begin(), other.ranges.end(),
                   [](const LayerRange& a, const LayerRange& b) { return a.first == b.first && a.last == b.last; });
    }
    // The same values with a range for each layer.
    PerLayer by_layer(int64_t layers) const {
        PerLayer spelled;
        spelled.per_layer = true;
        for (int64_t l = 0; l < layers; l++) spelled.ranges.push_back({{l, l}, at(l)});
        return spelled;
    }
};

}  // namespace sluice
