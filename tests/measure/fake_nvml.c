/* A library in the place of NVIDIA's libnvidia-ml.so.1, so that the real binding is driven
 * where there is no GPU. What it answers is set by the environment:
 *
 *   FAKE_NVML_CARDS=2          how many cards (the last is first on the bus)
 *   FAKE_NVML_MIG=1            the card of this driver index is split into two instances
 *   FAKE_NVML_FREE_AFTER=3     a dead process holds 8 GiB until memory was asked for so often
 *   FAKE_NVML_COMPUTING=1234   a process that computes on card 0 and holds 1 GiB of it
 *   FAKE_NVML_DRAWING=99       a process that draws on card 0 and holds 1 GiB of it
 *   FAKE_NVML_FAIL=name=3,name@1=15    a query fails with a code, on all cards or on one
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define GIB (1024ULL * 1024 * 1024)
#define SLOTS 3 /* the last is empty */

enum { OK = 0, INVALID = 2, NOT_FOUND = 6, TOO_SMALL = 7 };

typedef struct { int card, slot; } Device;
typedef struct { unsigned long long total, free, used; } Memory;
typedef struct { unsigned version; unsigned long long total, reserved, free, used; } Memory2;
typedef struct { unsigned pid; unsigned long long used; unsigned gi, ci; } Process;
typedef struct {
    char legacy[16];
    unsigned domain, bus, device, id, subsystem;
    char bus_id[32];
} Pci;

static Device devices[16][1 + SLOTS];

static int number(const char *name, int otherwise) {
    const char *text = getenv(name);
    return text ? atoi(text) : otherwise;
}

static int cards(void) { return number("FAKE_NVML_CARDS", 1); }
static int split(int card) { return number("FAKE_NVML_MIG", -1) == card; }

static Device *device(int card, int slot) {
    devices[card][1 + slot] = (Device){card, slot};
    return &devices[card][1 + slot];
}

static int failing(const char *query, int card) {
    const char *rules = getenv("FAKE_NVML_FAIL");
    char all[96], one[96];
    snprintf(all, sizeof all, "%s=", query);
    snprintf(one, sizeof one, "%s@%d=", query, card);
    const char *rule = rules ? strstr(rules, one) : NULL;
    if (rule) return atoi(rule + strlen(one));
    rule = rules ? strstr(rules, all) : NULL;
    return rule ? atoi(rule + strlen(all)) : OK;
}

#define ANSWER(card) do { int code = failing(__func__, card); if (code) return code; } while (0)

int nvmlInitWithFlags(unsigned flags) { (void)flags; ANSWER(-1); return OK; }
int nvmlShutdown(void) { return OK; }
const char *nvmlErrorString(int code) { (void)code; return "an error of the fake library"; }

int nvmlSystemGetDriverVersion(char *text, unsigned size) {
    ANSWER(-1);
    snprintf(text, size, "570.86.15");
    return OK;
}

int nvmlSystemGetCudaDriverVersion_v2(int *version) { ANSWER(-1); *version = 12080; return OK; }
int nvmlDeviceGetCount_v2(unsigned *count) { ANSWER(-1); *count = cards(); return OK; }

int nvmlDeviceGetHandleByIndex_v2(unsigned index, Device **out) {
    ANSWER((int)index);
    if ((int)index >= cards()) return INVALID;
    *out = device(index, -1);
    return OK;
}

int nvmlDeviceGetUUID(Device *d, char *text, unsigned size) {
    ANSWER(d->card);
    if (d->slot < 0) snprintf(text, size, "GPU-%d000aaaa-0000-0000-0000-000000000000", d->card);
    else snprintf(text, size, "MIG-%d00%dbbbb-0000-0000-0000-000000000000", d->card, d->slot);
    return OK;
}

int nvmlDeviceGetHandleByUUID(const char *uuid, Device **out) {
    char known[80];
    for (int card = 0; card < cards(); card++)
        for (int slot = -1; slot < (split(card) ? SLOTS - 1 : 0); slot++) {
            nvmlDeviceGetUUID(device(card, slot), known, sizeof known);
            if (strcmp(known, uuid) == 0) { *out = device(card, slot); return OK; }
        }
    return NOT_FOUND;
}

int nvmlDeviceGetName(Device *d, char *text, unsigned size) {
    ANSWER(d->card);
    snprintf(text, size, d->slot < 0 ? "Fake A100" : "Fake A100 MIG 1g.5gb");
    return OK;
}

int nvmlDeviceGetPciInfo_v3(Device *d, Pci *pci) {
    ANSWER(d->card);
    memset(pci, 0, sizeof *pci);
    pci->bus = 0xaf - 0x10 * d->card;
    snprintf(pci->bus_id, sizeof pci->bus_id, "00000000:%02X:00.0", pci->bus);
    return OK;
}

int nvmlDeviceGetCudaComputeCapability(Device *d, int *major, int *minor) {
    ANSWER(d->card);
    *major = 8;
    *minor = 0;
    return OK;
}

static unsigned long long used(Device *d) {
    static int asked;
    unsigned long long bytes = asked++ < number("FAKE_NVML_FREE_AFTER", 0) ? 8 * GIB : 0;
    if (d->card == 0) bytes += (getenv("FAKE_NVML_COMPUTING") ? GIB : 0)
                             + (getenv("FAKE_NVML_DRAWING") ? GIB : 0);
    return bytes;
}

static unsigned long long total(Device *d) { return (d->slot < 0 ? 40 : 5) * GIB; }

/* The first version counts what the driver reserves as used, the second does not. */
int nvmlDeviceGetMemoryInfo(Device *d, Memory *m) {
    ANSWER(d->card);
    unsigned long long taken = used(d) + GIB / 2;
    *m = (Memory){total(d), total(d) - taken, taken};
    return OK;
}

int nvmlDeviceGetMemoryInfo_v2(Device *d, Memory2 *m) {
    ANSWER(d->card);
    unsigned long long taken = used(d);
    *m = (Memory2){m->version, total(d), GIB / 2, total(d) - taken - GIB / 2, taken};
    return OK;
}

int nvmlDeviceGetMigMode(Device *d, unsigned *current, unsigned *pending) {
    ANSWER(d->card);
    *current = *pending = split(d->card);
    return OK;
}

int nvmlDeviceGetMaxMigDeviceCount(Device *d, unsigned *count) {
    ANSWER(d->card);
    *count = SLOTS;
    return OK;
}

int nvmlDeviceGetMigDeviceHandleByIndex(Device *d, unsigned slot, Device **out) {
    ANSWER(d->card);
    if (slot >= SLOTS - 1) return NOT_FOUND;
    *out = device(d->card, slot);
    return OK;
}

static int processes(Device *d, const char *name, unsigned *count, Process *out) {
    int pid = d->card == 0 ? number(name, 0) : 0;
    unsigned room = *count;
    *count = pid != 0;
    if (pid == 0) return OK;
    if (room < 1 || out == NULL) return TOO_SMALL;
    out[0] = (Process){pid, GIB, 0, 0};
    return OK;
}

int nvmlDeviceGetComputeRunningProcesses_v3(Device *d, unsigned *count, Process *out) {
    ANSWER(d->card);
    return processes(d, "FAKE_NVML_COMPUTING", count, out);
}

int nvmlDeviceGetGraphicsRunningProcesses_v3(Device *d, unsigned *count, Process *out) {
    ANSWER(d->card);
    return processes(d, "FAKE_NVML_DRAWING", count, out);
}
