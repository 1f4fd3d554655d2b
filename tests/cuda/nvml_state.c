/* What a card does now, how it is set up and where it is: FAKE_NVML_ANSWER sets each of them. */
#include <time.h>
#include <unistd.h>

#include "nvml.h"

#define NVLINKS 18

typedef struct { unsigned gpu, memory; } Utilization;

static unsigned long long answer(const char *query, int card, unsigned long long otherwise) {
    return setting("FAKE_NVML_ANSWER", query, card, otherwise);
}

static unsigned long long answer_for(const char *query, unsigned argument, int card,
                                     unsigned long long otherwise) {
    char name[96];
    snprintf(name, sizeof name, "%s.%u", query, argument);
    return answer(name, card, answer(query, card, otherwise));
}

#define GETTER(query, otherwise) \
    int query(Device *d, unsigned *out) { \
        MAY_FAIL(d->card); \
        *out = (unsigned)answer(__func__, d->card, otherwise); \
        return OK; \
    }

#define GETTER_FOR(query, otherwise) \
    int query(Device *d, unsigned argument, unsigned *out) { \
        MAY_FAIL(d->card); \
        *out = (unsigned)answer_for(__func__, argument, d->card, otherwise); \
        return OK; \
    }

enum { GRAPHICS_CLOCK = 0, SM_CLOCK = 1, MEMORY_CLOCK = 2 };
#define CLOCK_MHZ (argument == MEMORY_CLOCK ? 2619 : 1980)

GETTER_FOR(nvmlDeviceGetClockInfo, CLOCK_MHZ)
GETTER_FOR(nvmlDeviceGetMaxClockInfo, CLOCK_MHZ)
GETTER_FOR(nvmlDeviceGetApplicationsClock, CLOCK_MHZ)
GETTER_FOR(nvmlDeviceGetTemperature, 40)
GETTER(nvmlDeviceGetPowerUsage, 300000) /* mW, as the limits are */
GETTER(nvmlDeviceGetPowerManagementLimit, 700000)
GETTER(nvmlDeviceGetPowerManagementDefaultLimit, 700000)
GETTER(nvmlDeviceGetEnforcedPowerLimit, 700000)
GETTER(nvmlDeviceGetPersistenceMode, 1)
GETTER(nvmlDeviceGetComputeMode, 0)
GETTER(nvmlDeviceGetCurrPcieLinkGeneration, 5)
GETTER(nvmlDeviceGetMaxPcieLinkGeneration, 5)
GETTER(nvmlDeviceGetCurrPcieLinkWidth, 16)
GETTER(nvmlDeviceGetMaxPcieLinkWidth, 16)
GETTER(nvmlDeviceGetNumaNodeId, 0)

int nvmlDeviceGetEccMode(Device *d, unsigned *current, unsigned *pending) {
    MAY_FAIL(d->card);
    *current = *pending = (unsigned)answer(__func__, d->card, 1);
    return OK;
}

int nvmlDeviceGetNvLinkState(Device *d, unsigned link, unsigned *active) {
    MAY_FAIL(d->card);
    if (link >= NVLINKS) return INVALID;
    *active = (unsigned)answer_for(__func__, link, d->card, 1);
    return OK;
}

int nvmlDeviceGetNvLinkCapability(Device *d, unsigned link, int capability, unsigned *out) {
    (void)link, (void)capability, (void)out;
    MAY_FAIL(d->card);
    return NOT_SUPPORTED;
}

int nvmlDeviceGetCurrentClocksEventReasons(Device *d, unsigned long long *reasons) {
    MAY_FAIL(d->card);
    *reasons = answer(__func__, d->card, 0);
    return OK;
}

int nvmlDeviceGetCurrentClocksThrottleReasons(Device *d, unsigned long long *reasons) {
    MAY_FAIL(d->card);
    *reasons = answer(__func__, d->card, 0);
    return OK;
}

int nvmlDeviceGetUtilizationRates(Device *d, Utilization *rates) {
    MAY_FAIL(d->card);
    *rates = (Utilization){(unsigned)answer_for(__func__, 0, d->card, 0),
                           (unsigned)answer_for(__func__, 1, d->card, 0)};
    return OK;
}

/* In mJ: what the power that the card says it draws adds up to since the machine started. */
int nvmlDeviceGetTotalEnergyConsumption(Device *d, unsigned long long *energy_mj) {
    MAY_FAIL(d->card);
    unsigned power_mw = 0;
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    nvmlDeviceGetPowerUsage(d, &power_mw);
    *energy_mj = answer(__func__, d->card, (now.tv_sec + now.tv_nsec / 1e9) * power_mw);
    return OK;
}

/* Where a card is on the board */

static int filled(unsigned size, unsigned long *set, unsigned long long bits) {
    if (size == 0) return INVALID;
    memset(set, 0, size * sizeof *set);
    set[0] = bits;
    return OK;
}

int nvmlDeviceGetCpuAffinity(Device *d, unsigned size, unsigned long *cores) {
    MAY_FAIL(d->card);
    long all = sysconf(_SC_NPROCESSORS_ONLN);
    return filled(size, cores, answer(__func__, d->card, all > 63 ? ~0ULL : (1ULL << all) - 1));
}

int nvmlDeviceGetMemoryAffinity(Device *d, unsigned size, unsigned long *nodes, unsigned scope) {
    (void)scope;
    MAY_FAIL(d->card);
    return filled(size, nodes, answer(__func__, d->card, 1));
}

int nvmlDeviceGetTopologyCommonAncestor(Device *a, Device *b, unsigned *level) {
    (void)b;
    MAY_FAIL(a->card);
    *level = (unsigned)answer(__func__, a->card, 50); /* across the system */
    return OK;
}
