// The table of function pointers that one instruction-set level fills in.
#ifndef STEPAUDIO_KERNEL_TABLE_H
#define STEPAUDIO_KERNEL_TABLE_H

#include "include/kernels.h"

#include <math.h>
#include <string.h>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

struct sa_table {
  void (*gemm)(long, long, long, const float *, long, const void *, long, int, bool, float *, long,
               float, bool, const float *);
  void (*windows)(const struct sa_windows *, long, long);
  void (*pack_panels)(long, long, const float *, long, long, float *);
  void (*apply)(int, float *, long, float);
  void (*snake)(float *, long, long, const float *);
  void (*silu_product)(float *, const float *, long);
  void (*add)(float *, const float *, long);
  void (*scale)(float *, float, long);
  void (*softmax)(float *, long, long, long);
  void (*exponentials)(float *, long, long, long, float, float *);
  void (*scale_shift_mish)(float *, long, long, long, const float *, const float *, const float *);
  void (*layer_norm)(const float *, long, float *, long, long, const float *, const float *, float);
  void (*rms_norm)(const float *, float *, long, long, const float *, float);
  void (*column_moments)(const float *, long, long, double *, double *);
  void (*scale_shift)(float *, long, long, const float *, const float *);
  void (*widen_bf16)(const uint16_t *, float *, long);
  void (*gemm_quantised)(long, long, long, int, const int8_t *, const float *, const int32_t *,
                         const uint8_t *, float *, long, bool, const float *);
  void (*quantise_rows)(long, long, long, long, const float *, long, int8_t *, float *, int32_t *);
  void (*quantise_tile)(int, long, long, const void *, int, long, uint8_t *);
  void (*dequantise_row)(int, long, const uint8_t *, long, float *);
  uint32_t (*read_all)(const void *, long);
  long (*multiply_fp32)(long);
  long (*multiply_int4)(long);
  long (*multiply_int8)(long);
};

extern const struct sa_table sa_table_portable;
#if defined(__x86_64__)
extern const struct sa_table sa_table_avx2;
extern const struct sa_table sa_table_avx512;
#endif

/// A per-thread block of at least `bytes` bytes, 64-byte aligned, reused between calls and freed
/// when the thread ends. Null when memory is exhausted.
void *sa_scratch(long bytes);

/// Puts weight `i` of output `o` (already offset to be positive) into a block's weights.
static inline void sa_put_weight(int bits, uint8_t *weights, long o, long i, int value) {
  if (bits == 8) {
    weights[i / 4 * 4 * SA_BLOCK_OUTPUTS + o * 4 + i % 4] = (uint8_t)value;
  } else {
    uint8_t *byte = weights + i / 8 * 4 * SA_BLOCK_OUTPUTS + o * 4 + i % 4;
    *byte = (uint8_t)(*byte | (i % 8 < 4 ? value : value << 4));
  }
}

/// The weight that `sa_put_weight` put there.
static inline int sa_get_weight(int bits, const uint8_t *weights, long o, long i) {
  if (bits == 8) {
    return weights[i / 4 * 4 * SA_BLOCK_OUTPUTS + o * 4 + i % 4];
  }
  int byte = weights[i / 8 * 4 * SA_BLOCK_OUTPUTS + o * 4 + i % 4];
  return i % 8 < 4 ? byte & 15 : byte >> 4;
}

#endif
