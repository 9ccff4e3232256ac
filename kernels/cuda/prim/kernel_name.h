// What a kernel is called in errors.
#pragma once
#include <cxxabi.h>

#include <cstdlib>
#include <memory>
#include <string>
#include <typeinfo>

namespace sluice {

// "RmsNormForward<bf16>"
inline std::string kernel_name(const std::type_info& kernel) {
    int status = 0;
    const std::unique_ptr<char, void (*)(void*)> demangled(
        abi::__cxa_demangle(kernel.name(), nullptr, nullptr, &status), std::free);
    std::string name = demangled ? demangled.get() : kernel.name();
    for (const std::string space : {"sluice::", "(anonymous namespace)::"})
        for (size_t at = name.find(space); at != name.npos; at = name.find(space, at)) name.erase(at, space.size());
    return name;
}

}  // namespace sluice
