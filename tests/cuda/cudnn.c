/* cuDNN, libcudnn.so.9: handles, descriptors, and what TensorFlow calls by name. Convolutions go
 * through the graph interface of cudnn_graph.c.
 */
#include "cudnn.h"

#define DESCRIPTOR_BYTES 64

static int created(void **out) { *out = calloc(1, DESCRIPTOR_BYTES); return SUCCESS; }
static int destroyed(void *descriptor) { free(descriptor); return SUCCESS; }
static int needs_nothing(size_t *bytes) { *bytes = 0; return SUCCESS; }

size_t cudnnGetVersion(void) { return 90300; }
size_t cudnnGetCudartVersion(void) { return 12090; }

int cudnnGetProperty(int which, int *value) {
    static const int version[] = {9, 3, 0};
    *value = version[which];
    return SUCCESS;
}

const char *cudnnGetErrorString(int) { return "a status of the fake cuDNN"; }
void cudnnGetLastErrorString(char *text, size_t size) { if (size) *text = 0; }

int cudnnCreate(Handle **out) { *out = calloc(1, sizeof **out); return SUCCESS; }
int cudnnDestroy(Handle *handle) { free(handle); return SUCCESS; }
int cudnnSetStream(Handle *handle, Stream *stream) { handle->stream = stream; return SUCCESS; }
int cudnnGetStream(Handle *handle, Stream **out) { *out = handle->stream; return SUCCESS; }

#define DESCRIPTOR(name) \
    int cudnnCreate##name##Descriptor(void **out) { return created(out); } \
    int cudnnDestroy##name##Descriptor(void *descriptor) { return destroyed(descriptor); }

DESCRIPTOR(Tensor)
DESCRIPTOR(Filter)
DESCRIPTOR(Convolution)
DESCRIPTOR(Activation)
DESCRIPTOR(Pooling)

/* What is set in a descriptor is not looked at. */
#define SETTER(name) \
    int name(void) { return SUCCESS; }

SETTER(cudnnSetTensor4dDescriptor)
SETTER(cudnnSetTensorNdDescriptor)
SETTER(cudnnSetFilterNdDescriptor)
SETTER(cudnnSetConvolutionNdDescriptor)
SETTER(cudnnSetConvolutionGroupCount)
SETTER(cudnnSetConvolutionMathType)
SETTER(cudnnSetActivationDescriptor)
SETTER(cudnnSetPoolingNdDescriptor)
SETTER(cudnnDeriveBNTensorDescriptor)

int cudnnGetBatchNormalizationForwardTrainingExWorkspaceSize(
    Handle *, int, int, void *, void *, void *, void *, void *, size_t *bytes) {
    return needs_nothing(bytes);
}

int cudnnGetBatchNormalizationBackwardExWorkspaceSize(
    Handle *, int, int, void *, void *, void *, void *, void *, void *, void *, size_t *bytes) {
    return needs_nothing(bytes);
}

int cudnnGetBatchNormalizationTrainingExReserveSpaceSize(Handle *, int, int, void *, void *,
                                                         size_t *bytes) {
    return needs_nothing(bytes);
}

/* All of these take the handle first; what else they take is not looked at. */
#define COMPUTES(name) \
    int name(Handle *handle) { return computed(handle); }

COMPUTES(cudnnBatchNormalizationForwardTraining)
COMPUTES(cudnnBatchNormalizationForwardTrainingEx)
COMPUTES(cudnnBatchNormalizationForwardInference)
COMPUTES(cudnnBatchNormalizationBackward)
COMPUTES(cudnnBatchNormalizationBackwardEx)
COMPUTES(cudnnActivationForward)
COMPUTES(cudnnPoolingForward)
COMPUTES(cudnnPoolingBackward)
COMPUTES(cudnnSoftmaxForward)
COMPUTES(cudnnTransformTensor)
COMPUTES(cudnnAddTensor)
COMPUTES(cudnnScaleTensor)
