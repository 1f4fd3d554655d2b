/* What this process has had its devices do, counted by the driver's library.
 *
 *   FAKE_CUDA_COUNTERS=FOLDER   a process that uses a device counts in FOLDER/<pid>.counts, which
 *                               can be read at any time, also after the process was killed
 *
 * The file is a line of JSON, padded to a page, that names devices and counts, then the counts of
 * each device as 64-bit integers, then the copies and the bytes from each device to each. Devices
 * are in the order in which the process sees them. All libraries of the stack count here.
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
    X(stream_syncs)   /* the host waits for a stream, or for the device, */ \
    X(event_syncs)    /* or for an event */ \
    X(event_waits)    /* a stream waits for an event; the host does not */ \
    X(peak_memory_bytes)  /* the most that was held since the last reset */ \
    X(memory_bytes)       /* held now */ \
    X(memory_found_bytes) /* what others held when this process came to the device */

#define AS_ENUM(name) COUNT_##name,
typedef enum { COUNTS(AS_ENUM) COUNT_KINDS } Count;

/* Set all counts to 0 but the last two; the peak begins at what is held. */
void fake_counters_reset(void);

/* For the driver's own files. */
void add_count(int device, Count count, long long amount);
void count_to_device(int device, size_t bytes);
void count_to_host(int device, size_t bytes);
void count_between(int from, int to, size_t bytes);
void count_memory(int device, long long bytes);

#endif
