// The kernels compiled for any processor (SSE2 or NEON), 4 floats to a vector.

#include "kernel_table.h"

#define SA_WIDTH 4
#define SA_TILE_ROWS 6
#define SA_TABLE sa_table_portable
#include "kernel_body.h"
