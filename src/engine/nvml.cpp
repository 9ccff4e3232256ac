#include "engine/nvml.h"

#include <dlfcn.h>
#include <fmt/format.h>

namespace sluice {
namespace {

// What is used of nvml.h, whose numbers are part of the library's interface.
constexpr int kDone = 0, kClockOfMultiprocessors = 1, kTemperatureOfChip = 0;
using Handle = void*;

class ManagementLibrary {
 public:
    ManagementLibrary() : library_(dlopen("libnvidia-ml.so.1", RTLD_NOW | RTLD_LOCAL)) {
        if (!library_) return;
        take(init_, "nvmlInit_v2");
        take(by_uuid_, "nvmlDeviceGetHandleByUUID");
        take(clock_, "nvmlDeviceGetClockInfo");
        take(most_clock_, "nvmlDeviceGetMaxClockInfo");
        take(power_, "nvmlDeviceGetPowerUsage");
        take(temperature_, "nvmlDeviceGetTemperature");
        usable_ = init_ && by_uuid_ && clock_ && most_clock_ && power_ && temperature_ && init_() == kDone;
    }

    std::optional<GpuState> state(const std::string& id) const {
        Handle gpu = nullptr;
        unsigned clock = 0, most = 0, milliwatts = 0, celsius = 0;
        if (!usable_ || by_uuid_(uuid_text(id).c_str(), &gpu) != kDone ||
            clock_(gpu, kClockOfMultiprocessors, &clock) != kDone ||
            most_clock_(gpu, kClockOfMultiprocessors, &most) != kDone || power_(gpu, &milliwatts) != kDone ||
            temperature_(gpu, kTemperatureOfChip, &celsius) != kDone)
            return std::nullopt;
        return GpuState{int(clock), int(most), 1e-3 * milliwatts, int(celsius)};
    }

 private:
    template <class F>
    void take(F*& function, const char* name) {
        function = reinterpret_cast<F*>(dlsym(library_, name));
    }

    void* library_;  // open for good
    bool usable_ = false;
    int (*init_)() = nullptr;
    int (*by_uuid_)(const char*, Handle*) = nullptr;
    int (*clock_)(Handle, int, unsigned*) = nullptr;
    int (*most_clock_)(Handle, int, unsigned*) = nullptr;
    int (*power_)(Handle, unsigned*) = nullptr;
    int (*temperature_)(Handle, int, unsigned*) = nullptr;
};

}  // namespace

std::optional<GpuState> gpu_state(const std::string& id) {
    static const ManagementLibrary library;
    return library.state(id);
}

std::string uuid_text(const std::string& id) {
    std::string text = "GPU";
    for (size_t i = 0; i < id.size(); i++) {
        if (i == 0 || i == 4 || i == 6 || i == 8 || i == 10) text += '-';
        text += fmt::format("{:02x}", static_cast<unsigned char>(id[i]));
    }
    return text;
}

}  // namespace sluice
