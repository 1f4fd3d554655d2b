/* NCCL, libnccl.so.2: ranks and their collectives. Nothing is exchanged: as with kernels, what
 * would have been written keeps what was there.
 */
#include "driver_link.h"

typedef struct { int rank, ranks, device; } Comm;
typedef struct { char bytes[128]; } UniqueId;

int ncclGetVersion(int *version) { *version = 22703; return SUCCESS; }
int ncclGetUniqueId(UniqueId *out) { memset(out, 1, sizeof *out); return SUCCESS; }
const char *ncclGetErrorString(int) { return "an error of the fake NCCL"; }
const char *ncclGetLastError(Comm *) { return ""; }

int ncclCommInitRank(Comm **out, int ranks, UniqueId, int rank) {
    *out = calloc(1, sizeof **out);
    **out = (Comm){rank, ranks, 0};
    DRIVER(cuCtxGetDevice)(&(*out)->device);
    return SUCCESS;
}

int ncclCommInitRankConfig(Comm **out, int ranks, UniqueId id, int rank, void *) {
    return ncclCommInitRank(out, ranks, id, rank);
}

int ncclCommDestroy(Comm *comm) { free(comm); return SUCCESS; }
int ncclCommAbort(Comm *comm) { free(comm); return SUCCESS; }
int ncclCommGetAsyncError(Comm *, int *error) { *error = SUCCESS; return SUCCESS; }
int ncclCommCount(Comm *comm, int *ranks) { *ranks = comm->ranks; return SUCCESS; }
int ncclCommUserRank(Comm *comm, int *rank) { *rank = comm->rank; return SUCCESS; }
int ncclCommCuDevice(Comm *comm, int *device) { *device = comm->device; return SUCCESS; }
int ncclGroupStart(void) { return SUCCESS; }
int ncclGroupEnd(void) { return SUCCESS; }

static int collective(Stream *stream) {
    DRIVER(fake_compute)(stream, COUNT_collectives);
    return SUCCESS;
}

int ncclAllReduce(const void *, void *, size_t, int, int, Comm *, Stream *stream) {
    return collective(stream);
}

int ncclBroadcast(const void *, void *, size_t, int, int, Comm *, Stream *stream) {
    return collective(stream);
}

int ncclReduce(const void *, void *, size_t, int, int, int, Comm *, Stream *stream) {
    return collective(stream);
}

int ncclAllGather(const void *, void *, size_t, int, Comm *, Stream *stream) {
    return collective(stream);
}

int ncclReduceScatter(const void *, void *, size_t, int, int, Comm *, Stream *stream) {
    return collective(stream);
}

int ncclSend(const void *, size_t, int, int, Comm *, Stream *stream) { return collective(stream); }
int ncclRecv(void *, size_t, int, int, Comm *, Stream *stream) { return collective(stream); }
