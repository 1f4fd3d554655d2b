/* The runtime's library, libcudart.so.12: kernels that TensorFlow was compiled with are registered
 * and launched here, all else goes to the driver.
 */
#include "driver_link.h"

enum { INSUFFICIENT_DRIVER = 35 };

typedef struct { unsigned x, y, z; } Dim3;

/* What nvcc's code calls before main, and around each kernel<<<...>>> */

void **__cudaRegisterFatBinary(void *) { static void *handle; return &handle; }
void __cudaRegisterFatBinaryEnd(void **) {}
void __cudaUnregisterFatBinary(void **) {}
void __cudaRegisterFunction(void **, const char *, char *, const char *, int, void *, void *, void *,
                            void *, int *) {}
void __cudaRegisterVar(void **, char *, char *, const char *, int, size_t, int, int) {}

static _Thread_local struct { Dim3 grid, block; size_t shared; void *stream; } pushed;

unsigned __cudaPushCallConfiguration(Dim3 grid, Dim3 block, size_t shared, void *stream) {
    pushed.grid = grid;
    pushed.block = block;
    pushed.shared = shared;
    pushed.stream = stream;
    return SUCCESS;
}

int __cudaPopCallConfiguration(Dim3 *grid, Dim3 *block, size_t *shared, void **stream) {
    *grid = pushed.grid;
    *block = pushed.block;
    *shared = pushed.shared;
    *stream = pushed.stream;
    return SUCCESS;
}

int cudaLaunchKernel(const void *, Dim3, Dim3, void **, size_t, Stream *stream) {
    DRIVER(fake_compute)(stream, COUNT_launches);
    return SUCCESS;
}

/* cudaLaunchConfig_t: the grid, the block, shared bytes, the stream. */
typedef struct { Dim3 grid, block; size_t shared; Stream *stream; } LaunchConfig;

int cudaLaunchKernelExC(const LaunchConfig *config, const void *, void **) {
    DRIVER(fake_compute)(config->stream, COUNT_launches);
    return SUCCESS;
}

/* Devices */

int cudaGetDeviceCount(int *count) {
    *count = 0;
    if (!DRIVER(cuInit)) return INSUFFICIENT_DRIVER;
    int code = DRIVER(cuInit)(0);
    return code ? code : DRIVER(cuDeviceGetCount)(count);
}

int cudaSetDevice(int device) {
    Context *context;
    int code = DRIVER(cuDevicePrimaryCtxRetain)(&context, device);
    return code ? code : DRIVER(cuCtxSetCurrent)(context);
}

int cudaGetDevice(int *device) { DRIVER(cuCtxGetDevice)(device); return SUCCESS; }
int cudaRuntimeGetVersion(int *version) { *version = 12090; return SUCCESS; }
int cudaDriverGetVersion(int *version) { return DRIVER(cuDriverGetVersion)(version); }
int cudaMemGetInfo(size_t *free, size_t *total) { return DRIVER(cuMemGetInfo_v2)(free, total); }
int cudaDeviceSynchronize(void) { return DRIVER(cuCtxSynchronize)(); }

int cudaDeviceGetAttribute(int *value, int attribute, int device) {
    return DRIVER(cuDeviceGetAttribute)(value, attribute, device);
}

int cudaDeviceCanAccessPeer(int *can, int device, int peer) {
    return DRIVER(cuDeviceCanAccessPeer)(can, device, peer);
}

int cudaDeviceGetPCIBusId(char *text, int size, int device) {
    return DRIVER(cuDeviceGetPCIBusId)(text, size, device);
}

/* cudaDeviceProp of CUDA 12 */
typedef struct {
    char name[256], uuid[16], luid[8];
    unsigned luid_node_mask;
    size_t memory_bytes, shared_bytes;
    int registers, warp;
    size_t pitch;
    int threads_per_block, block[3], grid[3], clock_khz;
    size_t constant_bytes;
    int major, minor;
    size_t texture_alignment, texture_pitch;
    int overlap, multiprocessors, others[56];
    int l2_bytes, persisting_l2_bytes, threads_per_multiprocessor;
    char rest[404];
} Properties;

_Static_assert(sizeof(Properties) == 1032, "as large as cudaDeviceProp of CUDA 12");

int cudaGetDeviceProperties_v2(Properties *out, int device) {
    *out = (Properties){
        .shared_bytes = 49152, .registers = 65536, .warp = 32, .threads_per_block = 1024,
        .block = {1024, 1024, 64}, .grid = {2147483647, 65535, 65535}, .clock_khz = 1980000,
        .multiprocessors = 132, .l2_bytes = 52428800, .threads_per_multiprocessor = 2048,
    };
    compute_capability(&out->major, &out->minor);
    DRIVER(cuDeviceTotalMem_v2)(&out->memory_bytes, device);
    return DRIVER(cuDeviceGetName)(out->name, sizeof out->name, device);
}

/* Kernels */

/* cudaFuncAttributes: five sizes, then the most threads of a block. */
typedef struct { size_t sizes[3]; int threads_per_block; char rest[116]; } Attributes;

int cudaFuncGetAttributes(Attributes *out, const void *) {
    *out = (Attributes){.threads_per_block = 1024};
    return SUCCESS;
}

/* The driver's handle of a kernel; nothing looks into it. */
int cudaGetFuncBySymbol(void **out, const void *symbol) { *out = (void *)symbol; return SUCCESS; }

int cudaFuncSetAttribute(const void *, int, int) { return SUCCESS; }
int cudaFuncSetCacheConfig(const void *, int) { return SUCCESS; }

int cudaOccupancyMaxActiveBlocksPerMultiprocessor(int *blocks, const void *, int, size_t) {
    *blocks = 2;
    return SUCCESS;
}

int cudaOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(int *blocks, const void *, int, size_t,
                                                           unsigned) {
    *blocks = 2;
    return SUCCESS;
}

/* Memory, streams and events */

int cudaMalloc(void **out, size_t bytes) { return DRIVER(cuMemAlloc_v2)(out, bytes); }
int cudaFree(void *start) { return start ? DRIVER(cuMemFree_v2)(start) : SUCCESS; }

int cudaMemcpyAsync(void *to, const void *from, size_t bytes, int, Stream *stream) {
    return DRIVER(cuMemcpyAsync)(to, from, bytes, stream);
}

int cudaMemcpy(void *to, const void *from, size_t bytes, int) {
    return DRIVER(cuMemcpyAsync)(to, from, bytes, NULL);
}

int cudaMemsetAsync(void *to, int value, size_t bytes, Stream *stream) {
    return DRIVER(cuMemsetD8Async)(to, value, bytes, stream);
}

int cudaStreamSynchronize(Stream *stream) { return DRIVER(cuStreamSynchronize)(stream); }
int cudaStreamWaitEvent(Stream *stream, Event *event, unsigned flags) {
    return DRIVER(cuStreamWaitEvent)(stream, event, flags);
}
int cudaEventCreateWithFlags(Event **out, unsigned flags) {
    return DRIVER(cuEventCreate)(out, flags);
}
int cudaEventDestroy(Event *event) { return DRIVER(cuEventDestroy_v2)(event); }
int cudaEventRecord(Event *, Stream *) { return SUCCESS; }
int cudaEventQuery(Event *) { return SUCCESS; }

/* Errors: a call says at once what went wrong, so that none is left to be asked for. */

int cudaGetLastError(void) { return SUCCESS; }
int cudaPeekAtLastError(void) { return SUCCESS; }
const char *cudaGetErrorName(int) { return "fakeCudaError"; }
const char *cudaGetErrorString(int) { return "an error of the fake runtime"; }
