// Scalars of a config: the name of each type, read from YAML, written as text. Reading returns an error, or "".
//     integers  -?(0|[1-9][0-9]*), also grouped as 524_288 or as 1e9      numbers  decimal, finite
//     booleans  true, false      words  as in words.h
#pragma once
#include <cstdint>
#include <string>

#include "base/enum_names.h"
#include "config/specs.h"
#include "config/yaml.h"

namespace sluice {

inline std::string type_name(bool) { return "true or false"; }
inline std::string type_name(int64_t) { return "an integer"; }
inline std::string type_name(double) { return "a number"; }
inline std::string type_name(const std::string&) { return "text"; }
template <NamedEnum E>
std::string type_name(E) {
    return "one of " + all_enum_names<E>();
}

std::string read_scalar(const Node& node, bool& value);
std::string read_scalar(const Node& node, int64_t& value);
std::string read_scalar(const Node& node, double& value);
std::string read_scalar(const Node& node, std::string& value);
// "'x' is not KIND", for any kind of node.
std::string mismatch(const Node& node, const std::string& kind);
template <NamedEnum E>
std::string read_scalar(const Node& node, E& value) {
    if (node.kind == Node::Kind::scalar && enum_value(node.text, value)) return "";
    return mismatch(node, type_name(value));
}

// Numbers are written with the fewest digits that read back to the same bits.
Node write_scalar(bool value);
Node write_scalar(int64_t value);
Node write_scalar(double value);
Node write_scalar(const std::string& value);
template <NamedEnum E>
Node write_scalar(E value) {
    return write_scalar(std::string(enum_name(value)));
}
std::string scalar_text(const Node& node);  // as YAML
std::string describe(const Range& range);   // "1 to 10000", "above 0", "0 or more, below 1"

}  // namespace sluice
