/* What both parts of the NVML library share: handles, error codes and rules of the environment.
 *
 *   FAKE_NVML_FAIL=name=3,name@1=15     a query fails with a code, on all cards or on one
 *   FAKE_NVML_ANSWER=name=7,name.2@1=5  what a query answers, or for its argument (a clock, a
 *                                       link) 2, on all cards or on one
 *
 * A name may be *: every query. Where FAIL or ANSWER is @FILE, the rules are read from that file
 * at each query, so that a card may change while a process looks at it.
 */
#ifndef NVML_H
#define NVML_H

#include "stack.h"

enum { OK = 0, INVALID = 2, NOT_SUPPORTED = 3, NOT_FOUND = 6, TOO_SMALL = 7 };

/* A card, whose slot is WHOLE, or a MIG instance of one. */
typedef struct { int card, slot; } Device;

/* What a variable says of a query; rules for one card go before those for all. */
unsigned long long setting(const char *variable, const char *query, int card,
                           unsigned long long otherwise);

/* Return the code with which a query is to fail, if it is to. */
#define MAY_FAIL(card) \
    do { \
        int code = (int)setting("FAKE_NVML_FAIL", __func__, card, OK); \
        if (code) return code; \
    } while (0)

#endif
