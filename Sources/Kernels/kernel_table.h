// The table of function pointers that one instruction-set level fills in.
#ifndef STEPAUDIO_KERNEL_TABLE_H
#define STEPAUDIO_KERNEL_TABLE_H

#include "include/kernels.h"

#include <math.h>
#include <string.h>

struct sa_table {
  void (*gemm)(long, long, long, const float *, long, const void *, long, int, bool, float *, long,
               float, bool, const float *, bool);
  void (*apply)(int, float *, long, float);
  void (*snake)(float *, long, long, const float *);
  void (*silu_product)(float *, const float *, long);
  void (*add)(float *, const float *, long);
  void (*scale)(float *, float, long);
  void (*softmax)(float *, long, long, long);
  void (*layer_norm)(const float *, float *, long, long, const float *, const float *, float);
  void (*rms_norm)(const float *, float *, long, long, const float *, float);
  void (*column_moments)(const float *, long, long, double *, double *);
  void (*scale_shift)(float *, long, long, const float *, const float *);
  void (*widen_bf16)(const uint16_t *, float *, long);
};

extern const struct sa_table sa_table_portable;
#if defined(__x86_64__)
extern const struct sa_table sa_table_avx2;
extern const struct sa_table sa_table_avx512;
#endif

/// A per-thread block of at least `bytes` bytes, 64-byte aligned, reused between calls and freed
/// when the thread ends. Null when memory is exhausted.
void *sa_scratch(long bytes);

#endif
