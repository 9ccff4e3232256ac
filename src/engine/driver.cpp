#include "engine/driver.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>

namespace sluice {
namespace {

constexpr const char* kLibrary = "libcuda.so.1";

// What is used of cuda.h, whose numbers are part of the driver's interface.
enum Result {
    kSuccess = 0,
    kStubLibrary = 34,
    kUnavailable = 46,
    kNoDevice = 100,
    kOperatingSystem = 304,
    kNotPermitted = 800,
    kNotReady = 802,
    kDriverMismatch = 803,
    kCompatNotSupported = 804,
    kUnknown = 999,
};
constexpr int kCapabilityMajor = 75, kCapabilityMinor = 76;  // CUdevice_attribute

template <class F>
F* function(void* library, const char* name) {
    return reinterpret_cast<F*>(dlsym(library, name));
}

class Library {
 public:
    explicit Library(void* library)
        : init_(function<int(unsigned)>(library, "cuInit")),
          version_(function<int(int*)>(library, "cuDriverGetVersion")),
          count_(function<int(int*)>(library, "cuDeviceGetCount")),
          device_(function<int(int*, int)>(library, "cuDeviceGet")),
          name_(function<int(char*, int, int)>(library, "cuDeviceGetName")),
          attribute_(function<int(int*, int, int)>(library, "cuDeviceGetAttribute")),
          id_(function<int(char*, int)>(library, "cuDeviceGetUuid_v2")),
          error_name_(function<int(int, const char**)>(library, "cuGetErrorName")) {}

    bool complete() const { return init_ && version_ && count_ && device_ && name_ && attribute_ && error_name_; }
    void ask(Driver& driver) const {
        version_(&driver.cuda);
        int error = init_(0), count = 0;
        if (error == kSuccess) error = count_(&count);
        for (int i = 0; i < count && error == kSuccess; i++) error = ask(i, driver.gpus.emplace_back());
        if (error == kSuccess && count == 0) error = kNoDevice;
        if (error == kSuccess) return;
        driver.gpus.clear();
        const char* name = nullptr;
        error_name_(error, &name);
        driver.why = driver_error(error, name ? name : "an error");
    }

 private:
    int ask(int index, Gpu& gpu) const {
        std::array<char, 256> name{};
        std::array<char, 16> id{};
        int device = 0, major = 0, minor = 0, error = device_(&device, index);
        if (error == kSuccess) error = name_(name.data(), int(name.size()), device);
        if (error == kSuccess) error = attribute_(&major, kCapabilityMajor, device);
        if (error == kSuccess) error = attribute_(&minor, kCapabilityMinor, device);
        if (error == kSuccess && id_) error = id_(id.data(), device);
        gpu = {name.data(), 10 * major + minor, std::string(id.data(), id.size())};
        return error;
    }

    int (*init_)(unsigned);
    int (*version_)(int*);
    int (*count_)(int*);
    int (*device_)(int*, int);
    int (*name_)(char*, int, int);
    int (*attribute_)(int*, int, int);
    int (*id_)(char*, int);  // null: the driver is older than what engines need
    int (*error_name_)(int, const char**);
};

Driver ask_driver() {
    Driver driver;
    void* const opened = dlopen(kLibrary, RTLD_NOW | RTLD_LOCAL);  // for good: a driver does not like to be closed
    if (!opened) {
        const std::string why = dlerror();
        driver.installed = why.find("cannot open shared object file: No such file") == why.npos;
        driver.why = driver.installed ? "the GPU driver does not load: " + why + ": install it again"
                                      : std::string("no GPU driver (") + kLibrary +
                                            ") is installed: install NVIDIA's, release 580 or later";
        return driver;
    }
    driver.installed = true;
    const Library library(opened);
    if (library.complete())
        library.ask(driver);
    else
        driver.why = std::string("the GPU driver (") + kLibrary + ") is too old: install release 580 or later";
    return driver;
}

}  // namespace

const Driver& driver() {
    static const Driver asked = ask_driver();
    return asked;
}

std::string driver_error(int error, const std::string& name, const std::filesystem::path& devices) {
    const std::string told = " (" + name + ", error " + std::to_string(error) + " of the driver)";
    const auto control = devices / "nvidiactl";
    const int file = open(control.c_str(), O_RDWR | O_CLOEXEC);
    const bool refused = file < 0 && (errno == EACCES || errno == EPERM), missing = file < 0 && !refused;
    if (file >= 0) close(file);
    const char* const visible = std::getenv("CUDA_VISIBLE_DEVICES");
    if (error == kNoDevice && visible)
        return "CUDA_VISIBLE_DEVICES='" + std::string(visible) +
               "' leaves the driver no GPU: unset it, or name one of " + "`nvidia-smi -L`";
    switch (error) {
        case kStubLibrary:
            return std::string("libcuda.so.1 is the toolkit's stub") + told +
                   ": take its folder off LD_LIBRARY_PATH, and install a driver";
        case kUnavailable:
            return "another program has the GPU to itself" + told + ": end it, or `nvidia-smi -c DEFAULT`";
        case kNotPermitted:
            return "no permission to use the GPU" + told + ": ask who runs the machine for it";
        case kNotReady:
            return "the GPUs are not ready" + told + ": start nvidia-fabricmanager";
        case kDriverMismatch:
        case kCompatNotSupported:
            return "libcuda.so.1 does not fit the kernel's driver" + told +
                   ": restart the machine, or give the container the host's libraries";
        case kNoDevice:
        case kOperatingSystem:
        case kUnknown:
            if (refused)
                return "no permission to open " + control.string() + told + ": join the group that has it (`ls -l " +
                       control.string() + "`), or start as another user";
            if (missing)
                return "the driver finds no GPU, and there is no " + control.string() + told +
                       ": start the container with its GPUs (--gpus all), or load the kernel's module "
                       "(nvidia-modprobe)";
            break;
    }
    return (error == kNoDevice ? "the driver finds no GPU" : "the driver fails") + told + ": see what nvidia-smi says";
}

}  // namespace sluice
