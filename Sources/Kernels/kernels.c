// Chooses the kernels' instruction-set level at run time and owns the per-thread scratch memory.

#include "kernel_table.h"

#include <pthread.h>
#include <stdlib.h>

int sa_best_level(void) {
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl")) {
    return SA_AVX512;
  }
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) {
    return SA_AVX2;
  }
#endif
  return SA_PORTABLE;
}

static _Thread_local int thread_level = -1;

int sa_level(void) { return thread_level < 0 ? sa_best_level() : thread_level; }

void sa_set_level(int level) {
  int best = sa_best_level();
  thread_level = level < SA_PORTABLE ? -1 : level > best ? best : level;
}

static const struct sa_table *table(void) {
#if defined(__x86_64__)
  switch (sa_level()) {
  case SA_AVX512:
    return &sa_table_avx512;
  case SA_AVX2:
    return &sa_table_avx2;
  default:
    break;
  }
#endif
  return &sa_table_portable;
}

struct scratch_block {
  void *bytes;
  long size;
};

static pthread_key_t scratch_key;
static pthread_once_t scratch_once = PTHREAD_ONCE_INIT;

static void free_scratch(void *value) {
  struct scratch_block *block = value;
  free(block->bytes);
  free(block);
}

static void make_scratch_key(void) { pthread_key_create(&scratch_key, free_scratch); }

void *sa_scratch(long bytes) {
  pthread_once(&scratch_once, make_scratch_key);
  struct scratch_block *block = pthread_getspecific(scratch_key);
  if (block == NULL) {
    block = calloc(1, sizeof *block);
    if (block == NULL) {
      return NULL;
    }
    pthread_setspecific(scratch_key, block);
  }
  if (block->size < bytes) {
    free(block->bytes);
    block->size = 0;
    if (posix_memalign(&block->bytes, 64, (size_t)bytes) != 0) {
      block->bytes = NULL;
      return NULL;
    }
    block->size = bytes;
  }
  return block->bytes;
}

void sa_gemm(long m, long n, long k, const float *a, long a_stride, const void *b, long b_stride,
             int b_type, bool b_is_kn, float *c, long c_stride, float alpha, bool accumulate,
             const float *bias) {
  if (m <= 0 || n <= 0) {
    return;
  }
  table()->gemm(m, n, k, a, a_stride, b, b_stride, b_type, b_is_kn, c, c_stride, alpha, accumulate,
                bias);
}

void sa_windows(const struct sa_windows *windows, long from, long count) {
  if (windows->outputs > 0) {
    table()->windows(windows, from, count);
  }
}

void sa_pack_panels(long outputs, long inputs, const float *weights, long output_stride,
                    long input_stride, float *panels) {
  table()->pack_panels(outputs, inputs, weights, output_stride, input_stride, panels);
}

void sa_apply(int function, float *x, long count, float parameter) {
  table()->apply(function, x, count, parameter);
}

void sa_snake(float *x, long rows, long columns, const float *alpha) {
  table()->snake(x, rows, columns, alpha);
}

void sa_silu_product(float *gate, const float *up, long count) {
  table()->silu_product(gate, up, count);
}

void sa_add(float *x, const float *y, long count) { table()->add(x, y, count); }

void sa_scale(float *x, float factor, long count) { table()->scale(x, factor, count); }

void sa_softmax(float *x, long rows, long columns, long stride) {
  table()->softmax(x, rows, columns, stride);
}

void sa_exponentials(float *x, long rows, long columns, long stride, float factor,
                     float *inverses) {
  table()->exponentials(x, rows, columns, stride, factor, inverses);
}

void sa_scale_shift_mish(float *x, long rows, long columns, long stride, const float *scale,
                         const float *shift, const float *offset) {
  table()->scale_shift_mish(x, rows, columns, stride, scale, shift, offset);
}

void sa_layer_norm(const float *x, long stride, float *y, long rows, long columns,
                   const float *weight, const float *bias, float epsilon) {
  table()->layer_norm(x, stride, y, rows, columns, weight, bias, epsilon);
}

void sa_rms_norm(const float *x, float *y, long rows, long columns, const float *weight,
                 float epsilon) {
  table()->rms_norm(x, y, rows, columns, weight, epsilon);
}

void sa_column_moments(const float *x, long rows, long columns, double *sums, double *squares) {
  table()->column_moments(x, rows, columns, sums, squares);
}

void sa_scale_shift(float *x, long rows, long columns, const float *scale, const float *shift) {
  table()->scale_shift(x, rows, columns, scale, shift);
}

void sa_widen_bf16(const uint16_t *x, float *y, long count) { table()->widen_bf16(x, y, count); }

void sa_gemm_quantised(long m, long n, long k, int bits, const int8_t *values, const float *scales,
                       const int32_t *offsets, const uint8_t *blocks, float *c, long c_stride,
                       bool accumulate, const float *bias) {
  table()->gemm_quantised(m, n, k, bits, values, scales, offsets, blocks, c, c_stride, accumulate,
                          bias);
}

void sa_quantise_rows(long start, long rows, long all, long k, const float *x, long stride,
                      int8_t *values, float *scales, int32_t *offsets) {
  table()->quantise_rows(start, rows, all, k, x, stride, values, scales, offsets);
}

void sa_quantise_tile(int bits, long live, long k, const void *weights, int type, long stride,
                      uint8_t *blocks) {
  table()->quantise_tile(bits, live, k, weights, type, stride, blocks);
}

void sa_dequantise_row(int bits, long k, const uint8_t *blocks, long output, float *x) {
  table()->dequantise_row(bits, k, blocks, output, x);
}

uint32_t sa_read_all(const void *p, long bytes) { return table()->read_all(p, bytes); }

long sa_multiply_fp32(long count) { return table()->multiply_fp32(count); }

long sa_multiply_int4(long count) { return table()->multiply_int4(count); }

long sa_multiply_int8(long count) { return table()->multiply_int8(count); }
