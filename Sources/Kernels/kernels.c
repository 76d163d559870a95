#include "kernels.h"
int sa_kernels_version(void) { return 1; }
