/* cuBLAS, libcublas.so.12: as much of it as matrix products ask for. */
#include "driver_link.h"

typedef struct { Stream *stream; } Handle;

static int computed(Handle *handle) {
    DRIVER(fake_compute)(handle->stream, COUNT_blas_calls);
    return SUCCESS;
}

int cublasCreate_v2(Handle **out) { *out = calloc(1, sizeof **out); return SUCCESS; }
int cublasDestroy_v2(Handle *handle) { free(handle); return SUCCESS; }
int cublasSetStream_v2(Handle *handle, Stream *stream) { handle->stream = stream; return SUCCESS; }
int cublasGetStream_v2(Handle *handle, Stream **out) { *out = handle->stream; return SUCCESS; }
int cublasSetWorkspace_v2(Handle *, void *, size_t) { return SUCCESS; }
int cublasSetMathMode(Handle *, int) { return SUCCESS; }
int cublasGetMathMode(Handle *, int *mode) { *mode = 0; return SUCCESS; }
int cublasSetPointerMode_v2(Handle *, int) { return SUCCESS; }
int cublasGetPointerMode_v2(Handle *, int *mode) { *mode = 0; return SUCCESS; }
int cublasSetAtomicsMode(Handle *, int) { return SUCCESS; }
int cublasGetVersion_v2(Handle *, int *version) { *version = 120900; return SUCCESS; }
int cublasGetProperty(int, int *value) { *value = 12; return SUCCESS; }
const char *cublasGetStatusString(int) { return "a status of the fake cuBLAS"; }

/* All of these take the handle first; what else they take is not looked at. */
#define COMPUTES(name) \
    int name(Handle *handle) { return computed(handle); }

COMPUTES(cublasSgemm_v2)
COMPUTES(cublasDgemm_v2)
COMPUTES(cublasSgemmEx)
COMPUTES(cublasGemmEx)
COMPUTES(cublasGemmBatchedEx)
COMPUTES(cublasGemmStridedBatchedEx)
COMPUTES(cublasSgemmBatched)
COMPUTES(cublasDgemmBatched)
COMPUTES(cublasSgemmStridedBatched)
COMPUTES(cublasDgemmStridedBatched)
COMPUTES(cublasSgemv_v2)
COMPUTES(cublasDgemv_v2)
