#include "base/hash.h"

#include <xxhash.h>

#include <cstdint>
#include <cstdio>
#include <new>

namespace sluice {

struct Hash::State {
    XXH3_state_t* xxh = XXH3_createState();
    State() {
        if (!xxh) throw std::bad_alloc();
        XXH3_128bits_reset(xxh);
    }
    ~State() { XXH3_freeState(xxh); }
};

Hash::Hash() : state_(std::make_unique<State>()) {}
Hash::~Hash() = default;
Hash::Hash(Hash&&) noexcept = default;

void Hash::add(const void* data, size_t bytes) {
    if (bytes > 0) XXH3_128bits_update(state_->xxh, data, bytes);
}

void Hash::add(const std::string& text) {
    const uint64_t length = text.size();
    add(&length, sizeof length);
    add(text.data(), text.size());
}

std::string Hash::hex() const {
    const XXH128_hash_t h = XXH3_128bits_digest(state_->xxh);
    char text[33];
    std::snprintf(text, sizeof text, "%016llx%016llx", (unsigned long long)h.high64, (unsigned long long)h.low64);
    return text;
}

}  // namespace sluice
