/* cuDNN, libcudnn.so.9: handles, versions and batch norm; no convolution is found here. */
#include "driver_link.h"

typedef struct { Stream *stream; } Handle;

int cudnnCreate(Handle **out) { *out = calloc(1, sizeof **out); return SUCCESS; }
int cudnnDestroy(Handle *handle) { free(handle); return SUCCESS; }
int cudnnSetStream(Handle *handle, Stream *stream) { handle->stream = stream; return SUCCESS; }
size_t cudnnGetVersion(void) { return 90300; }
size_t cudnnGetCudartVersion(void) { return 12090; }

int cudnnGetProperty(int which, int *value) {
    static const int version[] = {9, 3, 0};
    *value = version[which];
    return SUCCESS;
}

const char *cudnnGetErrorString(int) { return "a status of the fake cuDNN"; }
void cudnnGetLastErrorString(char *text, size_t size) { if (size) *text = 0; }

int cudnnCreateTensorDescriptor(void **out) { *out = calloc(1, 1); return SUCCESS; }
int cudnnDestroyTensorDescriptor(void *descriptor) { free(descriptor); return SUCCESS; }
int cudnnSetTensorNdDescriptor(void *, int, int, const int *, const int *) { return SUCCESS; }
int cudnnCreateActivationDescriptor(void **out) { return cudnnCreateTensorDescriptor(out); }
int cudnnDestroyActivationDescriptor(void *descriptor) { free(descriptor); return SUCCESS; }
int cudnnSetActivationDescriptor(void *, int, int, double) { return SUCCESS; }

/* Batch norm needs neither a workspace nor a place for what its gradient will read. */
static int no_bytes(size_t *size) { *size = 0; return SUCCESS; }

int cudnnGetBatchNormalizationForwardTrainingExWorkspaceSize(
    Handle *, int, int, void *, void *, void *, void *, void *, size_t *size) {
    return no_bytes(size);
}

int cudnnGetBatchNormalizationBackwardExWorkspaceSize(
    Handle *, int, int, void *, void *, void *, void *, void *, void *, void *, size_t *size) {
    return no_bytes(size);
}

int cudnnGetBatchNormalizationTrainingExReserveSpaceSize(
    Handle *, int, int, void *, void *, size_t *size) {
    return no_bytes(size);
}

/* All of these take the handle first; what else they take is not looked at. */
#define COMPUTES(name) \
    int name(Handle *handle) { \
        DRIVER(fake_compute)(handle->stream, COUNT_dnn_calls); \
        return SUCCESS; \
    }

COMPUTES(cudnnBatchNormalizationForwardTraining)
COMPUTES(cudnnBatchNormalizationForwardTrainingEx)
COMPUTES(cudnnBatchNormalizationForwardInference)
COMPUTES(cudnnBatchNormalizationBackward)
COMPUTES(cudnnBatchNormalizationBackwardEx)
