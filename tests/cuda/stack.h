/* The machine that every library of the stack describes: its cards, their names and sizes.
 *
 *   FAKE_GPUS=2                     how many cards (at most 10; the last is first on the bus)
 *   FAKE_GPU_NAME="Fake H100"       their name
 *   FAKE_GPU_CAPABILITY=9.0         their compute capability
 *   FAKE_GPU_MEMORY_BYTES=...       the memory of each, 80 GiB without it
 *   FAKE_DRIVER_VERSION=575.57.08   the driver's version
 *   FAKE_CUDA_VERSION=12.9          the newest CUDA that the driver runs
 *   FAKE_MIG=0,2                    cards of these driver indices have two MIG instances each
 */
#ifndef STACK_H
#define STACK_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_CARDS 10
#define GIB (1024ULL * 1024 * 1024)
#define DRIVER_RESERVE (GIB / 2) /* of each card; no process can have it */
#define MIG_INSTANCES 2
#define MIG_PARTS 8 /* the parts of a card's memory, of which an instance has one */
#define WHOLE (-1)  /* the slot of a card, in place of an instance's number */

static inline const char *text_setting(const char *name, const char *otherwise) {
    const char *text = getenv(name);
    return text && *text ? text : otherwise;
}

static inline long number_setting(const char *name, long otherwise) {
    const char *text = getenv(name);
    return text && *text ? atol(text) : otherwise;
}

static inline int card_count(void) {
    long count = number_setting("FAKE_GPUS", 1);
    return count < 0 ? 0 : count > MAX_CARDS ? MAX_CARDS : (int)count;
}

static inline const char *card_name(void) { return text_setting("FAKE_GPU_NAME", "Fake H100"); }

static inline void compute_capability(int *major, int *minor) {
    if (sscanf(text_setting("FAKE_GPU_CAPABILITY", "9.0"), "%d.%d", major, minor) != 2) abort();
}

/* CUDA's version as its own libraries write it: 12090 is 12.9. */
static inline int cuda_version(void) {
    int major = 0, minor = 0;
    if (sscanf(text_setting("FAKE_CUDA_VERSION", "12.9"), "%d.%d", &major, &minor) != 2) abort();
    return 1000 * major + 10 * minor;
}

static inline int is_split(int card) {
    const char *cards = text_setting("FAKE_MIG", "");
    for (char *end; *cards; cards = *end ? end + 1 : end) {
        if (strtol(cards, &end, 10) == card && end != cards) return 1;
        if (end == cards) return 0;
    }
    return 0;
}

static inline unsigned long long memory_bytes(int slot) {
    unsigned long long card = number_setting("FAKE_GPU_MEMORY_BYTES", 80 * GIB);
    return slot == WHOLE ? card : card / MIG_PARTS;
}

/* The driver's order of cards is the reverse of the bus's, as it may be on a real machine. */
static inline unsigned bus_number(int card) { return 0xaf - 0x10 * card; }

static inline void uuid_bytes(int card, int slot, unsigned char out[16]) {
    const unsigned char kind = slot == WHOLE ? 0xaa : 0xbb;
    const unsigned char place = slot == WHOLE ? 0 : slot;
    memset(out, 0, 16);
    out[0] = card << 4, out[1] = place, out[2] = out[3] = kind;
}

static inline void uuid_text(int card, int slot, char *out, size_t size) {
    unsigned char b[16];
    uuid_bytes(card, slot, b);
    snprintf(out, size, "%s-%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x",
             slot == WHOLE ? "GPU" : "MIG", b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7], b[8],
             b[9], b[10], b[11], b[12], b[13], b[14], b[15]);
}

#endif
