/* What the driver's files know of each other, and what the runtime asks of the driver.
 *
 * Types are plain: a handle is a pointer, a result a number. Signatures are those of cuda.h.
 */
#ifndef DRIVER_H
#define DRIVER_H

#include "counters.h"

enum {
    SUCCESS = 0,
    INVALID_VALUE = 1,
    OUT_OF_MEMORY = 2,
    NO_DEVICE = 100,
    INVALID_DEVICE = 101,
    INVALID_CONTEXT = 201,
    NOT_FOUND = 500,
    NOT_SUPPORTED = 801,
};

typedef struct { int device; } Context;

/* Devices are numbered as this process sees them, by CUDA_VISIBLE_DEVICES and CUDA_DEVICE_ORDER. */
int device_count(void);
int device_card(int device);
int device_slot(int device);
void device_uuid_text(int device, char *out, size_t size);

/* That of the current context; the first where there is none, as the runtime has it. */
int current_device(void);

/* The device of an address, -1 for the host's. */
int device_of(const void *address);

/* Copy and count, whichever way the addresses say. */
void copy(void *to, const void *from, size_t bytes);
void fill(void *to, unsigned value, size_t width, size_t count);

typedef struct Graph Graph;
typedef struct { Graph *capturing; int device; } Stream;
typedef struct { int device; } Event;

/* The graph that what is given to ``stream`` becomes part of; NULL where it is done at once. */
Graph *captured(Stream *stream);
void graph_add_kernel(Graph *graph);
void graph_add_copy(Graph *graph, void *to, const void *from, size_t bytes);
void graph_add_fill(Graph *graph, void *to, unsigned value, size_t width, size_t count);

/* Count what computes on ``stream``: a kernel, or a call of a library that launches some. Where
 * the stream is captured, it is counted as a kernel each time that the graph is launched. */
void fake_compute(Stream *stream, Count count);

/* The driver's own interface, as far as its files and the libraries above call it. */
int cuInit(unsigned flags);
int cuDriverGetVersion(int *version);
int cuDeviceGetCount(int *count);
int cuDeviceGetName(char *name, int size, int device);
int cuDeviceGetAttribute(int *value, int attribute, int device);
int cuDeviceGetPCIBusId(char *text, int size, int device);
int cuDeviceTotalMem_v2(size_t *bytes, int device);
int cuDeviceCanAccessPeer(int *can, int device, int peer);
int cuDevicePrimaryCtxRetain(Context **context, int device);
int cuCtxGetDevice(int *device);
int cuCtxSetCurrent(Context *context);
int cuCtxSynchronize(void);
int cuMemAlloc_v2(void **out, size_t bytes);
int cuMemFree_v2(void *start);
int cuMemGetInfo_v2(size_t *available, size_t *total);
int cuMemcpyAsync(void *to, const void *from, size_t bytes, Stream *stream);
int cuMemsetD8Async(void *to, unsigned char value, size_t count, Stream *stream);
int cuStreamSynchronize(Stream *stream);
int cuStreamWaitEvent(Stream *stream, Event *event, unsigned flags);
int cuEventCreate(Event **out, unsigned flags);
int cuEventDestroy_v2(Event *event);

#endif
