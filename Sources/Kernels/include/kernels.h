// Entry points of the SIMD kernels. Every function runs on the calling thread; splitting work over
// threads is the caller's business. All matrices are row-major with an explicit row stride in
// elements. Floats are fp32; bf16 is the upper half of an fp32.
#ifndef STEPAUDIO_KERNELS_H
#define STEPAUDIO_KERNELS_H

#include <stdbool.h>
#include <stdint.h>

/// The instruction sets that the kernels are compiled for, weakest first.
enum sa_level { SA_PORTABLE = 0, SA_AVX2 = 1, SA_AVX512 = 2 };

/// Element type of the right-hand matrix of a product.
enum sa_type { SA_FLOAT32 = 0, SA_BFLOAT16 = 1 };

/// The best level this processor runs.
int sa_best_level(void);
/// The level the calling thread uses (the best one unless `sa_set_level` chose another).
int sa_level(void);
/// Chooses a level, at most the best, for the calling thread; a negative one restores the best. For tests.
void sa_set_level(int level);

/// C[m,n] = alpha * A[m,k] B + bias, or C += alpha * A B when `accumulate` is true.
///
/// B is [n,k] (each row holds one output's weights) or, with `b_is_kn`, [k,n].
/// `by_rows` takes the path without packing that suits one to a few rows of A; it must not depend
/// on how the caller splits the work, so that results do not either. `bias` (n values) may be null.
void sa_gemm(long m, long n, long k, const float *a, long a_stride, const void *b, long b_stride,
             int b_type, bool b_is_kn, float *c, long c_stride, float alpha, bool accumulate,
             const float *bias, bool by_rows);

/// Element-wise functions, in place.
enum sa_function {
  SA_RELU = 0,
  SA_LEAKY_RELU = 1, // parameter: slope
  SA_ELU = 2,
  SA_SILU = 3,
  SA_GELU = 4, // exact, with the error function
  SA_MISH = 5,
  SA_SIGMOID = 6,
  SA_TANH = 7,
  SA_EXP = 8,
};
void sa_apply(int function, float *x, long count, float parameter);

/// x = x + sin^2(alpha x) / (alpha + 1e-9), row by row, one alpha per column.
void sa_snake(float *x, long rows, long columns, const float *alpha);
/// gate = silu(gate) * up.
void sa_silu_product(float *gate, const float *up, long count);
/// x += y.
void sa_add(float *x, const float *y, long count);
/// x *= factor.
void sa_scale(float *x, float factor, long count);
/// Softmax of every row, in place; entries of -infinity get zero.
void sa_softmax(float *x, long rows, long columns, long stride);
/// y = (x - mean) / sqrt(variance + epsilon) * weight + bias for every row.
void sa_layer_norm(const float *x, float *y, long rows, long columns, const float *weight,
                   const float *bias, float epsilon);
/// y = x / sqrt(mean(x^2) + epsilon) * weight for every row.
void sa_rms_norm(const float *x, float *y, long rows, long columns, const float *weight,
                 float epsilon);
/// Adds every column's sum and sum of squares over the rows to `sums` and `squares`.
void sa_column_moments(const float *x, long rows, long columns, double *sums, double *squares);
/// x = x * scale + shift, row by row, one scale and shift per column.
void sa_scale_shift(float *x, long rows, long columns, const float *scale, const float *shift);
/// Widens bf16 to fp32.
void sa_widen_bf16(const uint16_t *x, float *y, long count);

#endif
