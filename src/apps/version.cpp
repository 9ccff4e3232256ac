#include "apps/version.h"

#include <fmt/format.h>

#include "base/version.h"
#include "engine/choose.h"
#include "engine/driver.h"
#include "kernels/capability.h"

namespace sluice {

std::string version_text() {
    std::string text = fmt::format("sluice {}\n", build());
    text += "engine cpu: " + cpu_engine().libraries() + "\n";
    const EngineLibrary library = load_engine_library();
    text += "engine cuda: " + (library.engine ? library.path + ", " + library.engine->libraries() : library.why) + "\n";
    const Driver& has = driver();
    text += "driver: " + (has.cuda > 0 ? "for CUDA " + cuda_text(has.cuda) : "");
    if (!has.why.empty()) text += (has.cuda > 0 ? "; " : "") + has.why;
    for (size_t i = 0; i < has.gpus.size(); i++)
        text += fmt::format("\nGPU {}: {}, sm_{}", i, has.gpus[i].name, has.gpus[i].capability);
    return text;
}

}  // namespace sluice
