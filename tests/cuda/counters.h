/* What this process has had its devices do, counted by the driver's library.
 *
 *   FAKE_CUDA_DUMP=FILE     a process that used a device appends its counts there as it exits,
 *                           as one line of JSON
 *
 * Counts are by device, in the order in which this process sees its devices. Every library of the
 * stack counts here; one that is not the driver's asks the driver's for ``fake_count``.
 */
#ifndef COUNTERS_H
#define COUNTERS_H

#include "stack.h"

#define BIG_COPY_BYTES 100000 /* a copy larger than this is counted as big, too */

#define COUNTS(X) \
    X(h2d_copies) X(h2d_bytes) X(h2d_big_copies) X(h2d_big_bytes) \
    X(d2h_copies) X(d2h_bytes) X(d2h_big_copies) X(d2h_big_bytes) \
    X(memsets) \
    X(launches)       /* of kernels, one by one */ \
    X(graph_launches) /* of CUDA graphs, which XLA calls command buffers */ \
    X(graph_kernels)  /* kernels in graphs that were launched */ \
    X(blas_calls)     /* cuBLAS, cuBLASLt and cuDNN: calls that compute, */ \
    X(blas_lt_calls)  /* each of which launches one or more kernels on a GPU */ \
    X(dnn_calls) \
    X(collectives)    /* NCCL, on one rank */ \
    X(stream_syncs)   /* the host waits for a stream, for the device, */ \
    X(event_syncs)    /* for an event */ \
    X(event_waits)    /* a stream waits for an event; the host does not */ \
    X(memory_bytes) X(peak_memory_bytes) /* held now, and the most since the last reset */

#define AS_ENUM(name) COUNT_##name,
typedef enum { COUNTS(AS_ENUM) COUNT_KINDS } Count;

/* Add ``amount`` to a count of the device of the current context. */
void fake_count(Count count, long long amount);

/* Set all counts to 0, except the memory that is held; its peak begins there. */
void fake_counters_reset(void);

/* All counts as JSON, in a static buffer that the next call overwrites. */
const char *fake_counters_json(void);

/* For the driver's own files: counts of a device that need not be the current one. */
void count_on(int device, Count count, long long amount);
void count_to_device(int device, size_t bytes);
void count_to_host(int device, size_t bytes);
void count_between(int from, int to, size_t bytes);
void count_memory(int device, long long bytes);

#endif
