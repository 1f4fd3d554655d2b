/* How the libraries above the driver reach it: by name, when they first need it, as NVIDIA's do. */
#ifndef DRIVER_LINK_H
#define DRIVER_LINK_H

#include <dlfcn.h>

#include "driver.h"

static inline void *driver_symbol(const char *name) {
    static void *library;
    if (!library) library = dlopen("libcuda.so.1", RTLD_LAZY);
    return library ? dlsym(library, name) : NULL;
}

/* A function of driver.h or counters.h; NULL where there is no driver. */
#define DRIVER(name) ((__typeof__(&name))driver_symbol(#name))

#endif
