// The kernels compiled for avx512, 16 floats to a vector.

#include "kernel_table.h"

#if defined(__x86_64__)
#define SA_WIDTH 16
#define SA_TILE_ROWS 12
#define SA_TABLE sa_table_avx512
#pragma clang attribute push(__attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,fma"))), apply_to = function)
#include "kernel_body.h"
#pragma clang attribute pop
#endif
