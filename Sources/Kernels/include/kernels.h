// Entry points of the SIMD kernels.
#ifndef STEPAUDIO_KERNELS_H
#define STEPAUDIO_KERNELS_H
int sa_kernels_version(void);
#endif
