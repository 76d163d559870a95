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

/// Tells the core that the calling thread looks for a change in memory.
static inline void sa_pause(void) {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  __asm__ volatile("isb");
#endif
}

/// C[m,n] = alpha * A[m,k] B + bias, or C += alpha * A B when `accumulate` is true.
///
/// B is [n,k] (each row holds one output's weights) or, with `b_is_kn`, [k,n]. `bias` (n values) may
/// be null. The bits of a row of C depend on its row of A and on B only: not on m, nor on which
/// outputs or rows a call computes.
void sa_gemm(long m, long n, long k, const float *a, long a_stride, const void *b, long b_stride,
             int b_type, bool b_is_kn, float *c, long c_stride, float alpha, bool accumulate,
             const float *bias);

/// Outputs of a panel of packed fp32 weights: the panel holds them input by input, zeros past the last.
#define SA_PANEL 16
/// Floats of the panels of a matrix.
#define SA_PANEL_FLOATS(outputs, inputs) (((outputs) + SA_PANEL - 1) / SA_PANEL * SA_PANEL * (inputs))

/// Windows of a sequence times packed weights, and what is done with the sums.
///
/// Window i holds the rows `first + i * step + t * dilation` for the taps t; rows outside the input are
/// zeros. An output row is function(window W^T + bias) + addend. One tap, step 1 and first 0 make an
/// ordinary product.
struct sa_windows {
  const float *input; // `rows` rows of `channels` floats, `stride` floats from row to row
  long rows, channels, stride;
  long taps, dilation, step, first;
  const float *panels; // [outputs, taps * channels], packed
  long outputs;
  const float *bias;  // one value an output, or null
  int function;       // of enum sa_function, or negative for none
  float parameter;    // of the function
  const float *alpha; // of Snake, one value an output
  const float *addend; // one row a window, or null; without a function it may be the output
  long addend_stride;
  float *output;
  long output_stride;
};
/// Computes the output rows `from` to `from + count`. The input must not overlap the output. The bits of
/// a row depend on its window, its addend and the weights only.
void sa_windows(const struct sa_windows *windows, long from, long count);
/// Packs weights of which (o, p) lies at `weights[o * output_stride + p * input_stride]`.
void sa_pack_panels(long outputs, long inputs, const float *weights, long output_stride,
                    long input_stride, float *panels);

/// int8 and int4 weights come in blocks of 16 outputs x 32 inputs (body_quantised.h has the order).
#define SA_BLOCK_OUTPUTS 16
#define SA_BLOCK_INPUTS 32
/// Bytes of one block of `bits` (4 or 8) a weight.
#define SA_BLOCK_BYTES(bits) (2 * SA_BLOCK_OUTPUTS + SA_BLOCK_OUTPUTS * SA_BLOCK_INPUTS / 8 * (bits))

/// Rounds rows `start` to `start + rows` of `all` for products with blocks of weights, with one scale a
/// row and 32 inputs; `x` is row `start`. `values` (32 ceil(k / 32) bytes a row), `scales` and
/// `offsets` (one value a row and 32 inputs) are those of all rows, in an order of the kernels' own.
void sa_quantise_rows(long start, long rows, long all, long k, const float *x, long stride,
                      int8_t *values, float *scales, int32_t *offsets);
/// C[m,n] = A B^T + bias (or added to C) with rounded activations and the blocks of the first of the
/// outputs wanted, whose number is a multiple of 16. The bits of a row of C depend on its row of A
/// and on B only.
void sa_gemm_quantised(long m, long n, long k, int bits, const int8_t *values, const float *scales,
                       const int32_t *offsets, const uint8_t *blocks, float *c, long c_stride,
                       bool accumulate, const float *bias);
/// Packs `live` (at most 16) outputs of a row-major [n,k] matrix of `type` into one tile of blocks.
void sa_quantise_tile(int bits, long live, long k, const void *weights, int type, long stride,
                      uint8_t *blocks);
/// The k weights of output `output` (0 to 15) of a tile, as fp32.
void sa_dequantise_row(int bits, long k, const uint8_t *blocks, long output, float *x);

/// Reads `bytes` (a multiple of 256) in order and gives a value that depends on all: for measuring.
uint32_t sa_read_all(const void *p, long bytes);
/// `count` rounds of fp32 multiply-adds in registers; gives the number of operations.
long sa_multiply_fp32(long count);
/// The same with the products that int4 weights use, and with those of int8 weights.
long sa_multiply_int4(long count);
long sa_multiply_int8(long count);


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
  SA_SNAKE = 9, // in `sa_windows` only
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
/// Softmax without its last step: x = exp(factor (x - the row's largest)), entries of -infinity get zero,
/// and `inverses` gets one over each row's sum.
void sa_exponentials(float *x, long rows, long columns, long stride, float factor, float *inverses);
/// x = mish(x * scale + shift) + offset, one of each per column; `offset` may be null.
void sa_scale_shift_mish(float *x, long rows, long columns, long stride, const float *scale,
                         const float *shift, const float *offset);
/// y = (x - mean) / sqrt(variance + epsilon) * weight + bias for every row; rows of x are `stride` apart,
/// those of y follow each other.
void sa_layer_norm(const float *x, long stride, float *y, long rows, long columns,
                   const float *weight, const float *bias, float epsilon);
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
