/* Devices and contexts of the driver's library: which cards a process sees, and in which order. */
#include <pthread.h>
#include <stdatomic.h>

#include "driver.h"
#include "memory_table.h"

typedef struct { int card, slot; } Place;

static Place places[MAX_CARDS];
static int places_count;
static Context contexts[MAX_CARDS];
static atomic_int retained[MAX_CARDS];
static _Thread_local Context *current;

/* Cards in the order in which CUDA numbers them; the driver's own is the reverse of the bus's. */
static int card_at(int number) {
    const char *order = text_setting("CUDA_DEVICE_ORDER", "FASTEST_FIRST");
    return strcmp(order, "PCI_BUS_ID") == 0 ? card_count() - 1 - number : number;
}

static int matches(int card, int slot, const char *token, size_t length) {
    char uuid[80];
    uuid_text(card, slot, uuid, sizeof uuid);
    return length > strlen("GPU-") && strncmp(uuid, token, length) == 0;
}

/* What one entry of CUDA_VISIBLE_DEVICES names: a number, a UUID or its unambiguous beginning. */
static int named(const char *token, size_t length, Place *out) {
    char *end;
    long number = strtol(token, &end, 10);
    if (end == token + length && length > 0) {
        if (number < 0 || number >= card_count()) return 0;
        int card = card_at((int)number);
        *out = (Place){card, is_split(card) ? 0 : WHOLE};
        return 1;
    }
    int found = 0;
    for (int card = 0; card < card_count(); card++)
        for (int slot = is_split(card) ? 0 : WHOLE; slot < (is_split(card) ? MIG_INSTANCES : 0);
             slot++)
            if (matches(card, slot, token, length)) *out = (Place){card, slot}, found++;
    return found == 1;
}

static void add_all(void) {
    for (int number = 0; number < card_count(); number++) {
        int card = card_at(number);
        places[places_count++] = (Place){card, is_split(card) ? 0 : WHOLE};
    }
}

/* Entries up to the first that names nothing count, as CUDA has it; a double one leaves none. */
static void add_named(const char *tokens) {
    Place place;
    for (size_t length; *tokens; tokens += length + (tokens[length] == ',')) {
        length = strcspn(tokens, ",");
        if (!named(tokens, length, &place)) return;
        for (int i = 0; i < places_count; i++)
            if (memcmp(&places[i], &place, sizeof place) == 0) {
                places_count = 0;
                return;
            }
        if (places_count < MAX_CARDS) places[places_count++] = place;
    }
}

/* A process sees one MIG instance, or whole cards: CUDA shows no second beside an instance. */
static void keep_one_instance(void) {
    for (int i = 0; i < places_count; i++)
        if (places[i].slot != WHOLE) {
            places[0] = places[i];
            places_count = 1;
            return;
        }
}

static void find_devices(void) {
    const char *visible = getenv("CUDA_VISIBLE_DEVICES");
    if (visible) add_named(visible);
    else add_all();
    keep_one_instance();
}

int cuInit(unsigned) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, find_devices);
    return places_count > 0 ? SUCCESS : NO_DEVICE;
}

int device_count(void) { return places_count; }
int device_card(int device) { return places[device].card; }
int device_slot(int device) { return places[device].slot; }
int current_device(void) { return current ? current->device : 0; }

void device_uuid_text(int device, char *out, size_t size) {
    uuid_text(places[device].card, places[device].slot, out, size);
}

int cuDriverGetVersion(int *version) { *version = cuda_version(); return SUCCESS; }
int cuDeviceGetCount(int *count) { *count = device_count(); return SUCCESS; }

int cuDeviceGet(int *device, int ordinal) {
    *device = ordinal;
    return ordinal >= 0 && ordinal < device_count() ? SUCCESS : INVALID_DEVICE;
}

int cuDeviceGetName(char *name, int size, int device) {
    snprintf(name, size, "%s%s", card_name(), places[device].slot == WHOLE ? "" : " MIG 1g.10gb");
    return SUCCESS;
}

int cuDeviceGetUuid(unsigned char *uuid, int device) {
    uuid_bytes(places[device].card, WHOLE, uuid); /* an instance's card */
    return SUCCESS;
}

int cuDeviceGetUuid_v2(unsigned char *uuid, int device) {
    uuid_bytes(places[device].card, places[device].slot, uuid);
    return SUCCESS;
}

int cuDeviceGetPCIBusId(char *text, int size, int device) {
    snprintf(text, size, "0000:%02X:00.0", bus_number(places[device].card));
    return SUCCESS;
}

int cuDeviceComputeCapability(int *major, int *minor, int) {
    compute_capability(major, minor);
    return SUCCESS;
}

int cuDeviceTotalMem_v2(size_t *bytes, int device) {
    *bytes = memory_bytes(places[device].slot);
    return SUCCESS;
}

/* Attributes by their number in cuda.h, as an H100 has them; those that nobody asks for are 0. */
int cuDeviceGetAttribute(int *value, int attribute, int device) {
    static const int of_h100[] = {
        [1] = 1024, [2] = 1024, [3] = 1024, [4] = 64, /* threads of a block */
        [5] = 2147483647, [6] = 65535, [7] = 65535, /* blocks of a grid */
        [8] = 49152, [10] = 32, [12] = 65536, /* shared memory, warp, registers of a block */
        [13] = 1980000, [16] = 132, /* kHz, multiprocessors */
        [36] = 2619000, [37] = 5120, [38] = 52428800, /* memory's kHz and bus, L2 */
        [39] = 2048, [41] = 1, /* threads of a multiprocessor, unified addressing */
        [81] = 233472, [82] = 65536, [97] = 232448, [106] = 32, /* of a multiprocessor */
    };
    int major, minor;
    compute_capability(&major, &minor);
    if (attribute == 33) *value = (int)bus_number(places[device].card);
    else if (attribute == 75) *value = major;
    else if (attribute == 76) *value = minor;
    else *value = attribute < (int)(sizeof of_h100 / sizeof *of_h100) ? of_h100[attribute] : 0;
    return SUCCESS;
}

/* Cards reach each other's memory; instances of cards do not. */
int cuDeviceCanAccessPeer(int *can, int device, int peer) {
    *can = device != peer && places[device].slot == WHOLE && places[peer].slot == WHOLE;
    return SUCCESS;
}

int cuDeviceGetP2PAttribute(int *value, int, int device, int peer) {
    return cuDeviceCanAccessPeer(value, device, peer);
}

int cuDevicePrimaryCtxRetain(Context **context, int device) {
    if (device < 0 || device >= device_count()) return INVALID_DEVICE;
    Place place = places[device];
    contexts[device].device = device;
    if (retained[device]++ == 0) {
        add_count(device, COUNT_memory_found_bytes, memory_used(place.card, place.slot));
        memory_charge(place.card, place.slot, 0);
    }
    *context = &contexts[device];
    return SUCCESS;
}

int cuDevicePrimaryCtxRelease_v2(int) { return SUCCESS; }
int cuDevicePrimaryCtxSetFlags_v2(int, unsigned) { return SUCCESS; }

int cuDevicePrimaryCtxGetState(int device, unsigned *flags, int *active) {
    *flags = 0;
    *active = retained[device] > 0;
    return SUCCESS;
}

int cuCtxSetCurrent(Context *context) { current = context; return SUCCESS; }
int cuCtxGetCurrent(Context **context) { *context = current; return SUCCESS; }
int cuCtxEnablePeerAccess(Context *, unsigned) { return SUCCESS; }
int cuCtxGetApiVersion(Context *, unsigned *version) { *version = 3020; return SUCCESS; }

int cuCtxGetDevice(int *device) {
    *device = current_device();
    return current ? SUCCESS : INVALID_CONTEXT;
}

int cuCtxGetStreamPriorityRange(int *least, int *greatest) {
    *least = 0;
    *greatest = -5;
    return SUCCESS;
}

int cuCtxSynchronize(void) {
    add_count(current_device(), COUNT_stream_syncs, 1);
    return SUCCESS;
}

int cuGetErrorName(int, const char **text) { *text = "FAKE_CUDA_ERROR"; return SUCCESS; }

int cuGetErrorString(int error, const char **text) {
    *text = error == OUT_OF_MEMORY ? "out of memory"
          : error == NO_DEVICE     ? "no CUDA-capable device is detected"
                                   : "an error of the fake driver";
    return SUCCESS;
}
