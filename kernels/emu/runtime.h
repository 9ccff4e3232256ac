// The part of CUDA's runtime that kernels/cuda uses, under CUDA's names. Streams are queues: what is queued runs when
// an event or a wait asks for it, and no earlier. Other threads of the host may call at the same time.
//
// An error of a kernel appears where a stream or an event is next waited for, as cudaErrorLaunchFailure;
// cudaGetErrorString then tells all: op, shape, kernel, block, thread, what and where. What was queued behind it on the
// stream is dropped. What frees or destroys waits too, and leaves the error for the next wait.
#pragma once
#include <cstddef>

enum cudaError_t {
    cudaSuccess = 0,
    cudaErrorInvalidValue = 1,
    cudaErrorMemoryAllocation = 2,
    cudaErrorDevicesUnavailable = 46,
    cudaErrorInvalidDevice = 101,
    cudaErrorInvalidResourceHandle = 400,
    cudaErrorNotReady = 600,
    cudaErrorLaunchFailure = 719,
    cudaErrorStreamCaptureUnsupported = 900,
    cudaErrorStreamCaptureInvalidated = 901,
    cudaErrorStreamCaptureMerge = 902,
    cudaErrorStreamCaptureUnmatched = 903,
    cudaErrorStreamCaptureUnjoined = 904,
    cudaErrorStreamCaptureIsolation = 905,
    cudaErrorCapturedEvent = 907,
    cudaErrorStreamCaptureWrongThread = 908,
};
enum cudaMemcpyKind {
    cudaMemcpyHostToHost = 0,
    cudaMemcpyHostToDevice = 1,
    cudaMemcpyDeviceToHost = 2,
    cudaMemcpyDeviceToDevice = 3,
    cudaMemcpyDefault = 4,
};
constexpr unsigned cudaStreamNonBlocking = 1;
constexpr unsigned cudaEventDefault = 0, cudaEventDisableTiming = 2;

namespace sluice::emu {
class StreamQueue;
struct Event;
struct Graph;
class GraphExec;
}  // namespace sluice::emu
using cudaStream_t = sluice::emu::StreamQueue*;
using cudaEvent_t = sluice::emu::Event*;
using cudaGraph_t = sluice::emu::Graph*;
using cudaGraphExec_t = sluice::emu::GraphExec*;

constexpr int CUDART_VERSION = 0;  // of no release

cudaError_t cudaSetDevice(int device);  // of this thread
cudaError_t cudaGetDevice(int* device);

cudaError_t cudaMalloc(void** p, size_t bytes);
cudaError_t cudaFree(void* p);  // waits for all streams
cudaError_t cudaMallocHost(void** p, size_t bytes);
cudaError_t cudaFreeHost(void* p);  // waits for all streams
template <class T>
cudaError_t cudaMalloc(T** p, size_t bytes) {
    return cudaMalloc(reinterpret_cast<void**>(p), bytes);
}
template <class T>
cudaError_t cudaMallocHost(T** p, size_t bytes) {
    return cudaMallocHost(reinterpret_cast<void**>(p), bytes);
}
cudaError_t cudaMemGetInfo(size_t* free, size_t* total);

struct cudaDeviceProp {
    char name[256];
};
cudaError_t cudaGetDeviceProperties(cudaDeviceProp*, int device);

// Pinned memory is read and written when the copy runs. Pageable memory is read before the call returns; where it is
// written to, the call waits for the stream. Kinds that contradict the pointers are refused.
cudaError_t cudaMemcpyAsync(void* to, const void* from, size_t bytes, cudaMemcpyKind, cudaStream_t);
cudaError_t cudaMemsetAsync(void* p, int byte, size_t bytes, cudaStream_t);

cudaError_t cudaStreamCreateWithFlags(cudaStream_t*, unsigned flags);  // cudaStreamNonBlocking alone
cudaError_t cudaStreamDestroy(cudaStream_t);
cudaError_t cudaStreamSynchronize(cudaStream_t);
cudaError_t cudaStreamWaitEvent(cudaStream_t, cudaEvent_t, unsigned flags = 0);
cudaError_t cudaDeviceSynchronize();

cudaError_t cudaEventCreateWithFlags(cudaEvent_t*, unsigned flags);
cudaError_t cudaEventDestroy(cudaEvent_t);
cudaError_t cudaEventRecord(cudaEvent_t, cudaStream_t);
// Each call lets the stream do one thing more, but where another thread has opened the stream.
cudaError_t cudaEventQuery(cudaEvent_t);
cudaError_t cudaEventSynchronize(cudaEvent_t);
// Milliseconds of the emulator's clock, which tasks move on by what a GPU might need for them.
cudaError_t cudaEventElapsedTime(float* milliseconds, cudaEvent_t start, cudaEvent_t end);

// Graphs (kernels/emu/graph.h). While a stream is captured, a call that would wait for it, or that its thread may not
// make (memory is allocated or freed, anything is waited for or asked whether it is done), is refused and spoils it.
enum cudaStreamCaptureMode { cudaStreamCaptureModeThreadLocal = 1 };
enum cudaStreamCaptureStatus {
    cudaStreamCaptureStatusNone = 0,
    cudaStreamCaptureStatusActive = 1,
    cudaStreamCaptureStatusInvalidated = 2,
};
cudaError_t cudaStreamBeginCapture(cudaStream_t, cudaStreamCaptureMode);
cudaError_t cudaStreamIsCapturing(cudaStream_t, cudaStreamCaptureStatus*);
cudaError_t cudaStreamEndCapture(cudaStream_t, cudaGraph_t*);  // null where it failed
cudaError_t cudaGraphInstantiate(cudaGraphExec_t*, cudaGraph_t, unsigned long long flags = 0);
cudaError_t cudaGraphLaunch(cudaGraphExec_t, cudaStream_t);
cudaError_t cudaGraphDestroy(cudaGraph_t);
cudaError_t cudaGraphExecDestroy(cudaGraphExec_t);  // waits for its launches

cudaError_t cudaGetLastError();  // and forgets it
const char* cudaGetErrorString(cudaError_t);
