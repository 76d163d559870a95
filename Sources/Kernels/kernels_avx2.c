// The kernels compiled for avx2, 8 floats to a vector.

#include "kernel_table.h"

#if defined(__x86_64__)
#define SA_WIDTH 8
#define SA_TILE_ROWS 6
#define SA_TABLE sa_table_avx2
#pragma clang attribute push(__attribute__((target("avx2,fma"))), apply_to = function)
#include "kernel_body.h"
#pragma clang attribute pop
#endif
