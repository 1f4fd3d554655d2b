#define _GNU_SOURCE
#include "memory_table.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <unistd.h>

#define ROWS 1024

typedef struct {
    atomic_int pid; /* 0: the row is free */
    atomic_ullong started; /* of the process, in clock ticks: pids are used again */
    atomic_int card, slot;
    atomic_llong bytes;
    atomic_int queries_since_death;
} Row;

static Row *rows;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_mutex_t claiming = PTHREAD_MUTEX_INITIALIZER;

static void open_table(void) {
    const char *path = getenv("FAKE_CUDA_MEMORY");
    int file = path && *path ? open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600) : -1;
    int kind = file < 0 ? MAP_SHARED | MAP_ANONYMOUS : MAP_SHARED;
    if (file >= 0 && ftruncate(file, ROWS * sizeof(Row)) != 0) abort();
    rows = mmap(NULL, ROWS * sizeof(Row), PROT_READ | PROT_WRITE, kind, file, 0);
    if (rows == MAP_FAILED) abort();
    if (file >= 0) close(file);
}

static Row *table(void) {
    pthread_once(&once, open_table);
    return rows;
}

/* When a process began, or 0 where it has ended, waited for or not. */
static unsigned long long start_of(int pid) {
    char path[32], line[1024], state = 'X';
    unsigned long long started = 0;
    snprintf(path, sizeof path, "/proc/%d/stat", pid);
    FILE *file = fopen(path, "re");
    if (!file) return 0;
    char *after_name = fgets(line, sizeof line, file) ? strrchr(line, ')') : NULL;
    fclose(file);
    if (!after_name) return 0;
    /* Field 3 is the state, field 22 the start. */
    sscanf(after_name + 1, " %c %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s"
           " %*s %*s %llu", &state, &started);
    return state == 'Z' || state == 'X' ? 0 : started;
}

static int lives(Row *row) { return start_of(row->pid) == row->started; }

static int is_released(Row *row) {
    return !lives(row) && row->queries_since_death >= number_setting("FAKE_NVML_RELEASE_AFTER", 0);
}

static Row *own_row(int card, int slot) {
    int self = getpid();
    unsigned long long started = start_of(self);
    for (Row *row = table(); row < table() + ROWS; row++)
        if (row->pid == self && row->started == started && row->card == card && row->slot == slot)
            return row;
    for (Row *row = table(); row < table() + ROWS; row++) {
        int before = row->pid;
        if (before != 0 && !is_released(row)) continue;
        if (!atomic_compare_exchange_strong(&row->pid, &before, -1)) continue;
        row->card = card;
        row->slot = slot;
        row->bytes = 0;
        row->queries_since_death = 0;
        row->started = started;
        row->pid = self;
        return row;
    }
    abort(); /* A thousand processes at once: no test has them. */
}

static int counts(Row *row, int card, int slot) {
    return row->pid > 0 && row->card == card && (slot == WHOLE || row->slot == slot);
}

int memory_charge(int card, int slot, long long bytes) {
    pthread_mutex_lock(&claiming);
    Row *row = own_row(card, slot);
    pthread_mutex_unlock(&claiming);
    row->bytes += bytes;
    unsigned long long room = memory_bytes(slot) - (slot == WHOLE ? DRIVER_RESERVE : 0);
    if (bytes <= 0 || memory_used(card, slot) <= room) return 1;
    row->bytes -= bytes;
    return 0;
}

unsigned long long memory_used(int card, int slot) {
    unsigned long long bytes = 0;
    for (Row *row = table(); row < table() + ROWS; row++)
        if (counts(row, card, slot) && !is_released(row)) bytes += row->bytes;
    return bytes;
}

unsigned long long memory_query(int card, int slot) {
    unsigned long long bytes = memory_used(card, slot);
    for (Row *row = table(); row < table() + ROWS; row++)
        if (counts(row, card, slot) && !lives(row)) row->queries_since_death++;
    return bytes;
}

unsigned memory_holders(int card, int slot, Holder *out, unsigned room) {
    unsigned found = 0;
    for (Row *row = table(); row < table() + ROWS; row++) {
        if (!counts(row, card, slot) || !lives(row)) continue;
        if (found < room) out[found] = (Holder){row->pid, row->bytes};
        found++;
    }
    return found;
}
