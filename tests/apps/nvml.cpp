// NVIDIA's management library (libnvidia-ml.so.1) for tests: what src/engine/nvml.cpp asks for, of the GPUs of the
// driver made for tests (driver.cpp).
#include <cstring>

extern "C" {
int nvmlInit_v2() { return 0; }
int nvmlDeviceGetHandleByUUID(const char* uuid, void** gpu) {
    static char first;
    if (std::strcmp(uuid, "GPU-00000000-0000-0000-0000-000000000000") != 0) return 6;  // not found
    *gpu = &first;
    return 0;
}
int nvmlDeviceGetClockInfo(void* gpu, int kind, unsigned* megahertz) {
    *megahertz = 1755;
    return gpu && kind == 1 ? 0 : 2;
}
int nvmlDeviceGetMaxClockInfo(void* gpu, int kind, unsigned* megahertz) {
    *megahertz = 1980;
    return gpu && kind == 1 ? 0 : 2;
}
int nvmlDeviceGetPowerUsage(void*, unsigned* milliwatts) {
    *milliwatts = 612500;
    return 0;
}
int nvmlDeviceGetTemperature(void* gpu, int sensor, unsigned* celsius) {
    *celsius = 58;
    return gpu && sensor == 0 ? 0 : 2;
}
}
