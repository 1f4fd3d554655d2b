/* Who holds how much memory of which card: one table for all processes of the machine.
 *
 *   FAKE_CUDA_MEMORY=FILE       where the table is kept; without it a process knows only itself
 *   FAKE_NVML_RELEASE_AFTER=3   the memory of a dead process counts for so many more queries
 *
 * The driver charges allocations to its process here, NVML reads what all processes hold. A
 * process that has died, however it died, holds nothing: as with a real driver, it need not have
 * freed anything.
 */
#ifndef MEMORY_TABLE_H
#define MEMORY_TABLE_H

#include "stack.h"

/* Add ``bytes`` (negative: give back) to what this process holds; 0 where the card, or the
 * instance, has no room for them. A process is listed from its first charge on, even of 0. */
int memory_charge(int card, int slot, long long bytes);

/* What all processes hold of a card with its instances, or of one instance. */
unsigned long long memory_used(int card, int slot);

/* As ``memory_used``, and a query by which a dead process's memory comes nearer to its release. */
unsigned long long memory_query(int card, int slot);

typedef struct { unsigned pid; unsigned long long bytes; } Holder;

/* The processes that live and have a context there; returns how many, at most ``room``. */
unsigned memory_holders(int card, int slot, Holder *out, unsigned room);

#endif
