/* Device memory of the driver's library: the host's, charged to a device, and every copy counted.
 *
 * Address space alone is taken, of which every byte is zero and stays so: what a program copies there
 * is counted and dropped. TensorFlow may take nearly all of an 80 GiB card, as it does on a real one.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <sys/mman.h>

#include "driver.h"
#include "memory_table.h"

#define MOST_BLOCKS 65536

typedef struct { char *start; size_t bytes; int device; } Block;

static Block blocks[MOST_BLOCKS];
static int block_count;
static pthread_rwlock_t lock = PTHREAD_RWLOCK_INITIALIZER;

static Block *find(const void *address) {
    for (Block *block = blocks + block_count - 1; block >= blocks; block--)
        if ((char *)address >= block->start && (char *)address < block->start + block->bytes)
            return block;
    return NULL;
}

static Block block_of(const void *address) {
    pthread_rwlock_rdlock(&lock);
    Block *found = find(address);
    Block block = found ? *found : (Block){NULL, 0, -1};
    pthread_rwlock_unlock(&lock);
    return block;
}

int device_of(const void *address) { return block_of(address).device; }

static int charge(int device, long long bytes) {
    if (!memory_charge(device_card(device), device_slot(device), bytes)) return 0;
    count_memory(device, bytes);
    return 1;
}

int cuMemAlloc_v2(void **out, size_t bytes) {
    int device = current_device();
    if (bytes == 0) return INVALID_VALUE;
    if (!charge(device, bytes)) return OUT_OF_MEMORY;
    const int kind = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
    *out = mmap(NULL, bytes, PROT_READ | PROT_WRITE, kind, -1, 0);
    if (*out == MAP_FAILED) abort();
    pthread_rwlock_wrlock(&lock);
    if (block_count == MOST_BLOCKS) abort();
    blocks[block_count++] = (Block){*out, bytes, device};
    pthread_rwlock_unlock(&lock);
    return SUCCESS;
}

int cuMemFree_v2(void *start) {
    pthread_rwlock_wrlock(&lock);
    Block *found = find(start);
    Block block = found ? *found : (Block){NULL, 0, -1};
    if (found) *found = blocks[--block_count];
    pthread_rwlock_unlock(&lock);
    if (!found) return INVALID_VALUE;
    munmap(block.start, block.bytes);
    charge(block.device, -(long long)block.bytes);
    return SUCCESS;
}

int cuMemGetInfo_v2(size_t *available, size_t *total) {
    int card = device_card(current_device()), slot = device_slot(current_device());
    size_t reserve = slot == WHOLE ? DRIVER_RESERVE : 0;
    *total = memory_bytes(slot);
    *available = *total - reserve - memory_used(card, slot);
    return SUCCESS;
}

int cuMemGetAddressRange_v2(void **start, size_t *bytes, void *address) {
    Block block = block_of(address);
    *start = block.start;
    *bytes = block.bytes;
    return block.start ? SUCCESS : NOT_FOUND;
}

int cuPointerGetAttribute(void *out, int attribute, void *address) {
    enum { CONTEXT = 1, MEMORY_TYPE = 2, DEVICE_ORDINAL = 9, DEVICE_MEMORY = 2 };
    int device = device_of(address);
    if (device < 0) return INVALID_VALUE;
    if (attribute == CONTEXT) return cuDevicePrimaryCtxRetain(out, device);
    *(int *)out = attribute == DEVICE_ORDINAL ? device : attribute == MEMORY_TYPE ? DEVICE_MEMORY : 0;
    return SUCCESS;
}

int cuMemHostAlloc(void **out, size_t bytes, unsigned) {
    *out = aligned_alloc(4096, (bytes + 4095) / 4096 * 4096);
    return *out ? SUCCESS : OUT_OF_MEMORY;
}

int cuMemFreeHost(void *start) { free(start); return SUCCESS; }
int cuMemHostRegister_v2(void *, size_t, unsigned) { return SUCCESS; }
int cuMemHostUnregister(void *) { return SUCCESS; }

void copy(void *to, const void *from, size_t bytes) {
    int target = device_of(to), source = device_of(from);
    if (target >= 0 && source >= 0) count_between(source, target, bytes);
    else if (target >= 0) count_to_device(target, bytes);
    else if (source >= 0) count_to_host(source, bytes);
    // Nothing is computed: a device that kept what came would give it as the result of kernels.
    if (target < 0) memmove(to, from, bytes);
}

void fill(void *to, unsigned value, size_t width, size_t count) {
    int device = device_of(to);
    if (device >= 0) add_count(device, COUNT_memsets, 1);
    for (size_t i = 0; device < 0 && i < count; i++) memcpy((char *)to + i * width, &value, width);
}

static int copy_on(Stream *stream, void *to, const void *from, size_t bytes) {
    Graph *graph = captured(stream);
    if (graph) graph_add_copy(graph, to, from, bytes);
    else copy(to, from, bytes);
    return SUCCESS;
}

static int fill_on(Stream *stream, void *to, unsigned value, size_t width, size_t count) {
    Graph *graph = captured(stream);
    if (graph) graph_add_fill(graph, to, value, width, count);
    else fill(to, value, width, count);
    return SUCCESS;
}

int cuMemcpyHtoD_v2(void *to, const void *from, size_t n) { copy(to, from, n); return SUCCESS; }
int cuMemcpyDtoH_v2(void *to, const void *from, size_t n) { copy(to, from, n); return SUCCESS; }
int cuMemcpyDtoD_v2(void *to, const void *from, size_t n) { copy(to, from, n); return SUCCESS; }

int cuMemcpyAsync(void *to, const void *from, size_t bytes, Stream *stream) {
    return copy_on(stream, to, from, bytes);
}

int cuMemcpyHtoDAsync_v2(void *to, const void *from, size_t bytes, Stream *stream) {
    return copy_on(stream, to, from, bytes);
}

int cuMemcpyDtoHAsync_v2(void *to, const void *from, size_t bytes, Stream *stream) {
    return copy_on(stream, to, from, bytes);
}

int cuMemcpyDtoDAsync_v2(void *to, const void *from, size_t bytes, Stream *stream) {
    return copy_on(stream, to, from, bytes);
}

int cuMemcpyPeerAsync(void *to, Context *, const void *from, Context *, size_t n, Stream *stream) {
    return copy_on(stream, to, from, n);
}

int cuMemsetD8_v2(void *to, unsigned char value, size_t n) { fill(to, value, 1, n); return SUCCESS; }
int cuMemsetD32_v2(void *to, unsigned value, size_t n) { fill(to, value, 4, n); return SUCCESS; }

int cuMemsetD8Async(void *to, unsigned char value, size_t count, Stream *stream) {
    return fill_on(stream, to, value, 1, count);
}

int cuMemsetD32Async(void *to, unsigned value, size_t count, Stream *stream) {
    return fill_on(stream, to, value, 4, count);
}
