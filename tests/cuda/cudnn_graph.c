/* cuDNN's graph interface, by which TensorFlow and XLA convolve: every graph of operations has one
 * engine, without settings, that needs no workspace.
 */
#include "cudnn.h"

enum { INT64 = 3, DESCRIPTOR = 15 }; /* cudnnBackendAttributeType_t */
enum { ENGINE_CHOICES = 302, ENGINE_KNOBS = 1302, ENGINE_NOTES = 1303, ENGINE_BEHAVIOR = 1305 };

int cudnnBackendCreateDescriptor(int, void **out) { *out = calloc(1, 8); return SUCCESS; }
int cudnnBackendDestroyDescriptor(void *descriptor) { free(descriptor); return SUCCESS; }
int cudnnBackendInitialize(void *) { return SUCCESS; }
int cudnnBackendFinalize(void *) { return SUCCESS; }
int cudnnBackendSetAttribute(void *, int, int, long, const void *) { return SUCCESS; }

static int has_none(int attribute) {
    return attribute == ENGINE_CHOICES || attribute == ENGINE_KNOBS || attribute == ENGINE_NOTES ||
           attribute == ENGINE_BEHAVIOR;
}

/* Numbers are 0; a descriptor that is asked for has been made by who asks. */
int cudnnBackendGetAttribute(void *, int attribute, int type, long room, long *found, void *out) {
    long count = !has_none(attribute) && (type == INT64 || type == DESCRIPTOR);
    if (found) *found = count;
    if (out && room > 0 && count && type == INT64) memset(out, 0, sizeof(long));
    return SUCCESS;
}

int cudnnBackendExecute(Handle *handle, void *, void *) { return computed(handle); }
