/* cuDNN, libcudnn.so.9: handles and versions; no convolution is found here. */
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
