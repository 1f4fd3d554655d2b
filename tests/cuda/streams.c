/* Streams, events, modules and kernels of the driver's library.
 *
 * What a stream is given is done before the call returns, so that no wait ever waits. A kernel is
 * counted and computes nothing: memory that it would have written keeps what was there.
 */
#include "driver.h"

static int device_or_current(const Stream *stream) {
    /* Streams 1 and 2 are CUDA's own names of the default one. */
    return (size_t)stream > 2 ? stream->device : current_device();
}

Graph *captured(Stream *stream) { return (size_t)stream > 2 ? stream->capturing : NULL; }

int cuStreamCreateWithPriority(Stream **out, unsigned, int) {
    *out = calloc(1, sizeof **out);
    (*out)->device = current_device();
    return SUCCESS;
}

int cuStreamCreate(Stream **out, unsigned flags) { return cuStreamCreateWithPriority(out, flags, 0); }
int cuStreamDestroy_v2(Stream *stream) { free(stream); return SUCCESS; }
int cuStreamGetPriority(Stream *, int *priority) { *priority = 0; return SUCCESS; }
int cuStreamQuery(Stream *) { return SUCCESS; }

int cuStreamSynchronize(Stream *stream) {
    add_count(device_or_current(stream), COUNT_stream_syncs, 1);
    return SUCCESS;
}

int cuStreamWaitEvent(Stream *stream, Event *, unsigned) {
    add_count(device_or_current(stream), COUNT_event_waits, 1);
    return SUCCESS;
}

int cuLaunchHostFunc(Stream *, void (*function)(void *), void *argument) {
    function(argument);
    return SUCCESS;
}

int cuEventCreate(Event **out, unsigned) {
    *out = calloc(1, sizeof **out);
    (*out)->device = current_device();
    return SUCCESS;
}

int cuEventDestroy_v2(Event *event) { free(event); return SUCCESS; }
int cuEventRecord(Event *, Stream *) { return SUCCESS; }
int cuEventQuery(Event *) { return SUCCESS; }

int cuEventSynchronize(Event *event) {
    add_count(event->device, COUNT_event_syncs, 1);
    return SUCCESS;
}

int cuEventElapsedTime(float *time_ms, Event *, Event *) { *time_ms = 1; return SUCCESS; }
int cuEventElapsedTime_v2(float *time_ms, Event *, Event *) { *time_ms = 1; return SUCCESS; }

static int module, function; /* Nothing is loaded: any address will do as a handle. */

int cuModuleLoadData(void **out, const void *) { *out = &module; return SUCCESS; }
int cuModuleLoadFatBinary(void **out, const void *) { *out = &module; return SUCCESS; }
int cuModuleUnload(void *) { return SUCCESS; }

int cuModuleGetFunction(void **out, void *, const char *) { *out = &function; return SUCCESS; }

/* Every global of every module is the same memory: no kernel reads it. */
int cuModuleGetGlobal_v2(void **out, size_t *bytes, void *, const char *) {
    static _Thread_local void *globals[MAX_CARDS];
    void **own = &globals[current_device()];
    *bytes = 1 << 20;
    int code = *own ? SUCCESS : cuMemAlloc_v2(own, *bytes);
    *out = *own;
    return code;
}

int cuFuncGetAttribute(int *value, int, void *) { *value = 0; return SUCCESS; }
int cuFuncSetAttribute(void *, int, int) { return SUCCESS; }
int cuFuncSetCacheConfig(void *, int) { return SUCCESS; }

int cuOccupancyMaxActiveBlocksPerMultiprocessor(int *blocks, void *, int, size_t) {
    *blocks = 2;
    return SUCCESS;
}

int cuOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(int *blocks, void *, int, size_t, unsigned) {
    *blocks = 2;
    return SUCCESS;
}

void fake_compute(Stream *stream, Count count) {
    Graph *graph = captured(stream);
    if (graph) graph_add_kernel(graph);
    else add_count(device_or_current(stream), count, 1);
}

int cuLaunchKernel(void *, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned,
                   Stream *stream, void **, void **) {
    fake_compute(stream, COUNT_launches);
    return SUCCESS;
}

/* The launch's configuration: three dimensions of the grid, three of the block, shared bytes. */
typedef struct { unsigned sizes[7]; Stream *stream; } LaunchConfig;

int cuLaunchKernelEx(const LaunchConfig *config, void *, void **, void **) {
    fake_compute(config->stream, COUNT_launches);
    return SUCCESS;
}
