// A GPU driver (libcuda.so.1) for tests, which answers as $SLUICE_TEST_DRIVER says: words like init=999 version=12040
// count=2 capability=75 same. It has what src/engine/driver.cpp asks for, and no GPU.
//   init, version, count, capability: what cuInit returns, cuDriverGetVersion and cuDeviceGetCount tell, and of GPU 0;
//   others are 90. own: every process sees GPUs of its own. CUDA_VISIBLE_DEVICES hides some, by their indices.
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <sstream>
#include <string>
#include <vector>

namespace {

int answer(const char* word, int otherwise) {
    const char* const said = std::getenv("SLUICE_TEST_DRIVER");
    const std::string text = " " + std::string(said ? said : "");
    const size_t at = text.find(" " + std::string(word) + "=");
    return at == text.npos ? otherwise : std::atoi(text.c_str() + at + std::strlen(word) + 2);
}

std::vector<int> visible() {
    const char* const variable = std::getenv("CUDA_VISIBLE_DEVICES");
    std::istringstream list(variable ? variable : "");
    std::vector<int> gpus;
    if (variable)
        for (std::string gpu; std::getline(list, gpu, ',') && std::atoi(gpu.c_str()) >= 0;)
            gpus.push_back(std::atoi(gpu.c_str()));
    else
        for (int gpu = 0; gpu < answer("count", 1); gpu++) gpus.push_back(gpu);
    return gpus;
}

}  // namespace

extern "C" {
int cuInit(unsigned) { return answer("init", 0); }
int cuDriverGetVersion(int* version) {
    *version = answer("version", 13000);
    return 0;
}
int cuDeviceGetCount(int* count) {
    *count = int(visible().size());
    return 0;
}
int cuDeviceGet(int* device, int index) {
    *device = visible()[size_t(index)];
    return 0;
}
int cuDeviceGetName(char* name, int bytes, int device) {
    std::snprintf(name, size_t(bytes), "Test GPU %c", char('A' + device));
    return 0;
}
int cuDeviceGetAttribute(int* value, int attribute, int device) {
    const int capability = device == 0 ? answer("capability", 90) : 90;
    *value = attribute == 75 ? capability / 10 : capability % 10;
    return 0;
}
int cuDeviceGetUuid_v2(char* id, int device) {
    std::memset(id, 0, 16);
    const int process = answer("own", 0) ? int(getpid()) : 0;
    std::memcpy(id, &process, sizeof process);
    id[15] = char(device);
    return 0;
}
int cuGetErrorName(int error, const char** name) {
    *name = error == 100   ? "CUDA_ERROR_NO_DEVICE"
            : error == 800 ? "CUDA_ERROR_NOT_PERMITTED"
            : error == 803 ? "CUDA_ERROR_SYSTEM_DRIVER_MISMATCH"
                           : "CUDA_ERROR_UNKNOWN";
    return 0;
}
}
