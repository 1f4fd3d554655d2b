/* cuBLASLt, libcublasLt.so.12: products by one algorithm, which fits every shape. */
#include "driver_link.h"

#define DESCRIPTOR_BYTES 64
#define ATTRIBUTE_BYTES 96 /* cublasLtMatmulHeuristicResult_t */

static int created(void **out) { *out = calloc(1, DESCRIPTOR_BYTES); return SUCCESS; }
static int destroyed(void *descriptor) { free(descriptor); return SUCCESS; }

static int zeros(void *value, size_t bytes, size_t *written) {
    memset(value, 0, bytes);
    if (written) *written = bytes;
    return SUCCESS;
}

size_t cublasLtGetVersion(void) { return 120900; }
size_t cublasLtGetCudartVersion(void) { return 12090; }
int cublasLtGetProperty(int which, int *value) { *value = which == 0 ? 12 : 9; return SUCCESS; }
int cublasLtCreate(void **out) { return created(out); }
int cublasLtDestroy(void *handle) { return destroyed(handle); }

int cublasLtMatmulDescCreate(void **out, int, int) { return created(out); }
int cublasLtMatmulDescDestroy(void *descriptor) { return destroyed(descriptor); }
int cublasLtMatmulDescSetAttribute(void *, int, const void *, size_t) { return SUCCESS; }
int cublasLtMatmulDescGetAttribute(void *, int, void *value, size_t bytes, size_t *written) {
    return zeros(value, bytes, written);
}

int cublasLtMatrixLayoutCreate(void **out, int, unsigned long, unsigned long, long) {
    return created(out);
}
int cublasLtMatrixLayoutDestroy(void *layout) { return destroyed(layout); }
int cublasLtMatrixLayoutSetAttribute(void *, int, const void *, size_t) { return SUCCESS; }
int cublasLtMatrixLayoutGetAttribute(void *, int, void *value, size_t bytes, size_t *written) {
    return zeros(value, bytes, written);
}

int cublasLtMatmulPreferenceCreate(void **out) { return created(out); }
int cublasLtMatmulPreferenceDestroy(void *preference) { return destroyed(preference); }
int cublasLtMatmulPreferenceSetAttribute(void *, int, const void *, size_t) { return SUCCESS; }

int cublasLtMatmulAlgoGetHeuristic(void *, void *, void *, void *, void *, void *, void *, int,
                                   void *results, int *found) {
    memset(results, 0, ATTRIBUTE_BYTES);
    *found = 1;
    return SUCCESS;
}

int cublasLtMatmulAlgoConfigGetAttribute(void *, int, void *value, size_t bytes, size_t *written) {
    return zeros(value, bytes, written);
}

int cublasLtMatmul(void *, void *, const void *, const void *, void *, const void *, void *,
                   const void *, const void *, void *, void *, void *, const void *, void *, size_t,
                   Stream *stream) {
    DRIVER(fake_compute)(stream, COUNT_blas_lt_calls);
    return SUCCESS;
}
