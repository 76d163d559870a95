// The kernels themselves, written once with clang's vector types and compiled once per
// instruction-set level (SA_WIDTH floats a vector, SA_TILE_ROWS x 2 vectors a product tile).

#define W SA_WIDTH
#define MR SA_TILE_ROWS
#define NR (2 * SA_WIDTH)
#define KC 256
#define NC 512
#define MC 96
#define INLINE static inline __attribute__((always_inline))

#include "body_vectors.h"

#include "body_functions.h"

#include "body_rows.h"

#include "body_products.h"

#include "body_windows.h"

#include "body_quantised.h"

#include "body_packing.h"

#include "body_measure.h"

const struct sa_table SA_TABLE = {
    .gemm = gemm,
    .windows = windows,
    .pack_panels = pack_panels,
    .apply = apply,
    .snake = snake,
    .silu_product = silu_product,
    .add = add,
    .scale = scale,
    .softmax = softmax,
    .exponentials = exponentials,
    .scale_shift_mish = scale_shift_mish,
    .layer_norm = layer_norm,
    .rms_norm = rms_norm,
    .column_moments = column_moments,
    .scale_shift = scale_shift,
    .widen_bf16 = widen_bf16,
    .gemm_quantised = gemm_quantised,
    .quantise_rows = quantise_rows,
    .quantise_tile = quantise_tile,
    .dequantise_row = dequantise_row,
    .read_all = read_all,
    .multiply_fp32 = multiply_fp32,
    .multiply_int4 = multiply_int4,
    .multiply_int8 = multiply_int8,
};
