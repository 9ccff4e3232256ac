#include "config/tree.h"

#include "config/scalar.h"
#include "config/visit.h"

namespace sluice {
namespace {

Node container(Node::Kind kind) {
    Node node;
    node.kind = kind;
    return node;
}

// Declared ahead: a spec holds lists of specs.
template <class T>
Node tree(T& value);
template <class T>
Node tree(std::optional<T>& value) {
    return value ? tree(*value) : Node{};
}
template <class T>
Node tree(std::vector<T>& list) {
    Node node = container(Node::Kind::list);
    for (auto& element : list) node.children.push_back(tree(element));
    return node;
}
template <class T>
Node tree(PerLayer<T>& layers) {
    if (!layers.per_layer) return tree(layers.all);
    Node node = container(Node::Kind::map);
    for (auto& range : layers.ranges) {
        node.children.push_back(tree(range.value));
        node.children.back().key = range_key(range);
    }
    return node;
}
template <class T>
Node tree(T& value) {
    if constexpr (Spec<T>) {
        Node node = container(Node::Kind::map);
        value.fields([&](const char* key, auto& field, const char*, const Attributes&) {
            node.children.push_back(tree(field));
            node.children.back().key = key;
        });
        return node;
    } else {
        return write_scalar(value);
    }
}

// Of a value that is not known yet.
void set_null(Node& node) {
    node.kind = Node::Kind::null;
    node.text.clear();
}

}  // namespace

Node to_tree(const Config& config) {
    Config copy = config;  // fields() is not const, so that one list serves reading and writing
    Node root = tree(copy);
    if (config.train.tokens || config.train.epochs) set_null(*root.find("train")->find("steps"));
    if (config.model.vocab == 0) set_null(*root.find("model")->find("vocab"));
    return root;
}

}  // namespace sluice
