#include "counters.h"

#include <fcntl.h>
#include <stdatomic.h>
#include <unistd.h>

#include "driver.h"

#define AS_TEXT(name) #name,
static const char *const names[] = {COUNTS(AS_TEXT)};

static atomic_llong counts[MAX_CARDS][COUNT_KINDS];
static atomic_llong copies_between[MAX_CARDS][MAX_CARDS], bytes_between[MAX_CARDS][MAX_CARDS];

void count_on(int device, Count count, long long amount) { counts[device][count] += amount; }

void fake_count(Count count, long long amount) { count_on(current_device(), count, amount); }

static void count_copy(int device, Count first, size_t bytes) {
    count_on(device, first, 1);
    count_on(device, first + 1, bytes);
    if (bytes <= BIG_COPY_BYTES) return;
    count_on(device, first + 2, 1);
    count_on(device, first + 3, bytes);
}

void count_to_device(int device, size_t bytes) { count_copy(device, COUNT_h2d_copies, bytes); }

void count_to_host(int device, size_t bytes) { count_copy(device, COUNT_d2h_copies, bytes); }

void count_between(int from, int to, size_t bytes) {
    copies_between[from][to]++;
    bytes_between[from][to] += bytes;
}

void count_memory(int device, long long bytes) {
    long long now = counts[device][COUNT_memory_bytes] += bytes;
    atomic_llong *peak = &counts[device][COUNT_peak_memory_bytes];
    for (long long before = *peak; now > before;)
        if (atomic_compare_exchange_weak(peak, &before, now)) break;
}

void fake_counters_reset(void) {
    for (int device = 0; device < MAX_CARDS; device++) {
        for (int count = 0; count < COUNT_memory_bytes; count++) counts[device][count] = 0;
        for (int to = 0; to < MAX_CARDS; to++)
            copies_between[device][to] = bytes_between[device][to] = 0;
        counts[device][COUNT_peak_memory_bytes] = (long long)counts[device][COUNT_memory_bytes];
    }
}

static void write_device(FILE *out, int device) {
    char uuid[80];
    device_uuid_text(device, uuid, sizeof uuid);
    fprintf(out, "%s{\"uuid\": \"%s\"", device ? ", " : "", uuid);
    for (int count = 0; count < COUNT_KINDS; count++)
        fprintf(out, ", \"%s\": %lld", names[count], (long long)counts[device][count]);
    fprintf(out, "}");
}

static void write_copies_between(FILE *out) {
    const char *comma = "";
    for (int from = 0; from < MAX_CARDS; from++)
        for (int to = 0; to < MAX_CARDS; to++) {
            if (copies_between[from][to] == 0) continue;
            fprintf(out, "%s{\"source\": %d, \"target\": %d, \"copies\": %lld, \"bytes\": %lld}",
                    comma, from, to, (long long)copies_between[from][to],
                    (long long)bytes_between[from][to]);
            comma = ", ";
        }
}

const char *fake_counters_json(void) {
    static char text[64 * 1024];
    FILE *out = fmemopen(text, sizeof text, "w");
    fprintf(out, "{\"pid\": %d, \"devices\": [", getpid());
    for (int device = 0; device < device_count(); device++) write_device(out, device);
    fprintf(out, "], \"between\": [");
    write_copies_between(out);
    fprintf(out, "]}");
    fclose(out);
    return text;
}

__attribute__((destructor)) static void dump(void) {
    const char *path = text_setting("FAKE_CUDA_DUMP", NULL);
    int file = path && has_context() ? open(path, O_WRONLY | O_APPEND | O_CREAT, 0600) : -1;
    /* One write: processes that exit at the same time do not mix their lines. */
    if (file >= 0) dprintf(file, "%s\n", fake_counters_json());
    if (file >= 0) close(file);
}
