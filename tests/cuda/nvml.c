/* A library in the place of NVIDIA's libnvidia-ml.so.1, so that the real binding is driven
 * where there is no GPU. Its cards are those of stack.h, their memory that of memory_table.h.
 * Failures and answers are set by the rules of nvml.h, and besides:
 *
 *   FAKE_NVML_FREE_AFTER=3     a dead process holds 8 GiB until memory was asked for so often
 *   FAKE_NVML_COMPUTING=1234   a process that computes on card 0 and holds 1 GiB of it
 *   FAKE_NVML_DRAWING=99       a process that draws on card 0 and holds 1 GiB of it
 */
#include "memory_table.h"
#include "nvml.h"

#define SLOTS (MIG_INSTANCES + 1) /* the last is empty */
#define MOST_HOLDERS 64

typedef struct { unsigned long long total, free, used; } Memory;
typedef struct { unsigned version; unsigned long long total, reserved, free, used; } Memory2;
typedef struct { unsigned pid; unsigned long long used; unsigned gi, ci; } Process;
typedef struct {
    char legacy[16];
    unsigned domain, bus, device, id, subsystem;
    char bus_id[32];
} Pci;

static Device *device(int card, int slot) {
    static Device devices[MAX_CARDS][1 + SLOTS];
    devices[card][1 + slot] = (Device){card, slot};
    return &devices[card][1 + slot];
}

/* The library, the driver and the list of cards */

int nvmlInitWithFlags(unsigned flags) { (void)flags; MAY_FAIL(-1); return OK; }
int nvmlInit_v2(void) { return nvmlInitWithFlags(0); }
int nvmlShutdown(void) { return OK; }
const char *nvmlErrorString(int code) { (void)code; return "an error of the fake library"; }

int nvmlSystemGetDriverVersion(char *text, unsigned size) {
    MAY_FAIL(-1);
    snprintf(text, size, "%s", text_setting("FAKE_DRIVER_VERSION", "575.57.08"));
    return OK;
}

int nvmlSystemGetCudaDriverVersion_v2(int *version) {
    MAY_FAIL(-1);
    *version = cuda_version();
    return OK;
}

int nvmlDeviceGetCount_v2(unsigned *count) { MAY_FAIL(-1); *count = card_count(); return OK; }

int nvmlDeviceGetHandleByIndex_v2(unsigned index, Device **out) {
    MAY_FAIL((int)index);
    if ((int)index >= card_count()) return INVALID;
    *out = device((int)index, WHOLE);
    return OK;
}

int nvmlDeviceGetUUID(Device *d, char *text, unsigned size) {
    MAY_FAIL(d->card);
    uuid_text(d->card, d->slot, text, size);
    return OK;
}

int nvmlDeviceGetHandleByUUID(const char *uuid, Device **out) {
    char known[80];
    for (int card = 0; card < card_count(); card++)
        for (int slot = WHOLE; slot < (is_split(card) ? MIG_INSTANCES : 0); slot++) {
            uuid_text(card, slot, known, sizeof known);
            if (strcmp(known, uuid) != 0) continue;
            MAY_FAIL(card);
            *out = device(card, slot);
            return OK;
        }
    return NOT_FOUND;
}

int nvmlDeviceGetPciInfo_v3(Device *d, Pci *pci) {
    MAY_FAIL(d->card);
    memset(pci, 0, sizeof *pci);
    pci->bus = bus_number(d->card);
    snprintf(pci->bus_id, sizeof pci->bus_id, "00000000:%02X:00.0", pci->bus);
    snprintf(pci->legacy, sizeof pci->legacy, "0000:%02X:00.0", pci->bus);
    return OK;
}

int nvmlDeviceGetHandleByPciBusId_v2(const char *bus_id, Device **out) {
    unsigned domain, bus;
    if (sscanf(bus_id, "%x:%x", &domain, &bus) != 2) return INVALID;
    for (int card = 0; card < card_count(); card++) {
        if (bus_number(card) != bus) continue;
        MAY_FAIL(card);
        *out = device(card, WHOLE);
        return OK;
    }
    return NOT_FOUND;
}

/* What a card is */

int nvmlDeviceGetName(Device *d, char *text, unsigned size) {
    MAY_FAIL(d->card);
    snprintf(text, size, "%s%s", card_name(), d->slot == WHOLE ? "" : " MIG 1g.10gb");
    return OK;
}

int nvmlDeviceGetCudaComputeCapability(Device *d, int *major, int *minor) {
    MAY_FAIL(d->card);
    compute_capability(major, minor);
    return OK;
}

int nvmlDeviceGetMigMode(Device *d, unsigned *current, unsigned *pending) {
    MAY_FAIL(d->card);
    *current = *pending = is_split(d->card);
    return OK;
}

int nvmlDeviceGetMaxMigDeviceCount(Device *d, unsigned *count) {
    MAY_FAIL(d->card);
    *count = SLOTS;
    return OK;
}

int nvmlDeviceGetMigDeviceHandleByIndex(Device *d, unsigned slot, Device **out) {
    MAY_FAIL(d->card);
    if (slot >= MIG_INSTANCES || !is_split(d->card)) return NOT_FOUND;
    *out = device(d->card, (int)slot);
    return OK;
}

int nvmlDeviceGetDeviceHandleFromMigDeviceHandle(Device *d, Device **out) {
    MAY_FAIL(d->card);
    if (d->slot == WHOLE) return INVALID;
    *out = device(d->card, WHOLE);
    return OK;
}

/* Memory and processes */

static unsigned long long used(Device *d) {
    static int asked;
    unsigned long long bytes = memory_query(d->card, d->slot);
    if (asked++ < number_setting("FAKE_NVML_FREE_AFTER", 0)) bytes += 8 * GIB;
    if (d->card != 0) return bytes;
    return bytes + (getenv("FAKE_NVML_COMPUTING") ? GIB : 0) + (getenv("FAKE_NVML_DRAWING") ? GIB : 0);
}

/* The first version counts what the driver reserves as used, the second does not. */
int nvmlDeviceGetMemoryInfo(Device *d, Memory *m) {
    MAY_FAIL(d->card);
    unsigned long long total = memory_bytes(d->slot), taken = used(d) + DRIVER_RESERVE;
    *m = (Memory){total, total - taken, taken};
    return OK;
}

int nvmlDeviceGetMemoryInfo_v2(Device *d, Memory2 *m) {
    MAY_FAIL(d->card);
    unsigned long long total = memory_bytes(d->slot), taken = used(d);
    *m = (Memory2){m->version, total, DRIVER_RESERVE, total - taken - DRIVER_RESERVE, taken};
    return OK;
}

/* Write ``found`` of ``known`` processes as NVML does: those that fit, or how many there are. */
static int listed(const Holder *known, unsigned found, unsigned *count, Process *out) {
    unsigned room = *count;
    *count = found;
    if (found == 0) return OK;
    if (room < found || out == NULL) return TOO_SMALL;
    for (unsigned i = 0; i < found; i++) out[i] = (Process){known[i].pid, known[i].bytes, 0, 0};
    return OK;
}

int nvmlDeviceGetComputeRunningProcesses_v3(Device *d, unsigned *count, Process *out) {
    MAY_FAIL(d->card);
    Holder known[MOST_HOLDERS + 1];
    unsigned found = memory_holders(d->card, d->slot, known, MOST_HOLDERS);
    if (found > MOST_HOLDERS) found = MOST_HOLDERS;
    int other = d->card == 0 ? (int)number_setting("FAKE_NVML_COMPUTING", 0) : 0;
    if (other) known[found++] = (Holder){other, GIB};
    return listed(known, found, count, out);
}

int nvmlDeviceGetGraphicsRunningProcesses_v3(Device *d, unsigned *count, Process *out) {
    MAY_FAIL(d->card);
    Holder drawing = {d->card == 0 ? (unsigned)number_setting("FAKE_NVML_DRAWING", 0) : 0, GIB};
    return listed(&drawing, drawing.pid != 0, count, out);
}
