// Products with int8 and int4 weights. A block holds 16 outputs x 32 inputs: 16 scales (bf16), then
// the weights, unsigned: 8 bits offset by 128 (512 bytes) or 4 bits offset by 8 (256 bytes). Four
// neighbouring inputs of one output lie side by side, then the next output; a 4-bit block has inputs
// 8 s .. 8 s + 3 in the low halves of its bytes and 8 s + 4 .. 8 s + 7 in the high ones. Blocks follow
// each other along the inputs, then along the outputs.
//
// Activations are rounded to int8 with one scale a row and block of 32. Inside a block all sums are
// whole numbers and exact; blocks are added in order, in fp32. So the bits of a row depend on neither
// the number of rows nor the split over threads.

typedef uint8_t vb __attribute__((ext_vector_type(4 * W)));
typedef int16_t vs __attribute__((ext_vector_type(2 * W)));

#define OUT SA_BLOCK_OUTPUTS
#define IN SA_BLOCK_INPUTS
#define VECTORS (OUT / W)

/// Four unsigned bytes a lane times four signed ones: sums of neighbouring pairs, in 16 bits.
INLINE vs pair_products(vb weights, vb x) {
#if SA_WIDTH == 8
  return (vs)_mm256_maddubs_epi16((__m256i)weights, (__m256i)x);
#elif SA_WIDTH == 16
  return (vs)_mm512_maddubs_epi16((__m512i)weights, (__m512i)x);
#else
  vs w = (vs)weights, a = (vs)x;
  vs high = (vs)((__attribute__((ext_vector_type(2 * W))) uint16_t)w >> 8);
  return (w & 0xFF) * ((a << 8) >> 8) + high * (a >> 8);
#endif
}

/// Sums of neighbouring 16-bit pairs.
INLINE vi pair_sums(vs x) {
#if SA_WIDTH == 8
  return (vi)_mm256_madd_epi16((__m256i)x, _mm256_set1_epi16(1));
#elif SA_WIDTH == 16
  return (vi)_mm512_madd_epi16((__m512i)x, _mm512_set1_epi16(1));
#else
  vi pair = (vi)x;
  return (pair << 16 >> 16) + (pair >> 16);
#endif
}

/// `x` with its sign turned where the byte of `signs` is negative.
INLINE vb turned(vb x, vb signs) {
#if SA_WIDTH == 8
  return (vb)_mm256_sign_epi8((__m256i)x, (__m256i)signs);
#else
  vb mask = (vb)((__attribute__((ext_vector_type(4 * W))) int8_t)signs >> 7);
  return (x ^ mask) - mask;
#endif
}

INLINE vb load_bytes(const uint8_t *p) {
  vb v;
  memcpy(&v, p, sizeof v);
  return v;
}

/// The four bytes at `p` in every lane.
INLINE vb broadcast(const int8_t *p) {
  int32_t word;
  memcpy(&word, p, 4);
  return (vb)((vi)word);
}

INLINE vb low_halves(vb v) { return v & 15; }

INLINE vb high_halves(vb v) {
  return (vb)(((__attribute__((ext_vector_type(2 * W))) uint16_t)v) >> 4) & 15;
}

/// Quantised rows. Every ROW_CHUNK of them lie block by block: first block 0 of all rows of the chunk,
/// then block 1. A block has 32 values, a scale, and what the offset of int4 weights adds to its sum.
struct quantised_rows {
  const int8_t *values;
  const float *scales;
  const int32_t *offsets;
  long rows;
  long blocks; // a row's
};

/// Rows whose sums are kept while the blocks of a tile pass, and tiles that are kept near while all
/// rows pass.
#define ROW_CHUNK 64
#define TILE_GROUP 8

/// The number of block `g` of row `i`, `rows` being all rows of the product.
INLINE long block_place(long i, long g, long rows, long blocks) {
  long first = i / ROW_CHUNK * ROW_CHUNK;
  long chunk = rows - first < ROW_CHUNK ? rows - first : ROW_CHUNK;
  return first * blocks + g * chunk + i - first;
}

/// Vectors of four inputs in a block.
#define STEPS (IN / 4)

/// total += scales * sum, for one vector of outputs.
INLINE void add_block(float *total, vi sum, float scale, vf weight_scales) {
  vf value = __builtin_convertvector(sum, vf);
  store(total, load(total) + value * (weight_scales * (vf)scale));
}

INLINE vf block_scales(const uint8_t *block, int v) {
  uint16_t scales[W];
  memcpy(scales, block + 2 * v * W, sizeof scales);
  return widen(scales);
}

/// One vector of outputs of an int4 block times `rows` rows. Unsigned weights leave room for all
/// products in 16 bits: 8 x 2 x 15 x 127 < 32768.
INLINE void rows_int4(const uint8_t *p, vf weight_scales, const int8_t *x, const float *scales,
                      const int32_t *offsets, long rows, float *totals) {
  vb weights[STEPS];
#pragma unroll
  for (int s = 0; s < STEPS / 2; s++) {
    vb w = load_bytes(p + 4 * OUT * s);
    weights[2 * s] = low_halves(w);
    weights[2 * s + 1] = high_halves(w);
  }
  for (long i = 0; i < rows; i++) {
    vs sum = pair_products(weights[0], broadcast(x + i * IN));
#pragma unroll
    for (int s = 1; s < STEPS; s++) {
      sum += pair_products(weights[s], broadcast(x + i * IN + 4 * s));
    }
    add_block(totals + i * OUT, pair_sums(sum) - (vi)offsets[i], scales[i], weight_scales);
  }
}

/// One vector of outputs of an int8 block times `rows` rows: magnitudes times activations that took
/// the weights' signs. A pair's sum is at most 2 x 128 x 127 < 32768.
INLINE void rows_int8(const uint8_t *p, vf weight_scales, const int8_t *x, const float *scales,
                      long rows, float *totals) {
  vb weights[STEPS], magnitudes[STEPS];
#pragma unroll
  for (int s = 0; s < STEPS; s++) {
    weights[s] = load_bytes(p + 4 * OUT * s) ^ 128;
    magnitudes[s] = turned(weights[s], weights[s]);
  }
  for (long i = 0; i < rows; i++) {
    vi sum = (vi)0;
#pragma unroll
    for (int s = 0; s < STEPS; s++) {
      sum += pair_sums(
          pair_products(magnitudes[s], turned(broadcast(x + i * IN + 4 * s), weights[s])));
    }
    add_block(totals + i * OUT, sum, scales[i], weight_scales);
  }
}

/// One block of weights times `rows` rows: the weights of a vector of outputs stay in registers while
/// the rows pass.
INLINE void block_rows(int bits, const uint8_t *block, const struct quantised_rows *x, long first,
                       long rows, long g, float *totals) {
  const long place = first * x->blocks + g * rows;
#pragma unroll
  for (int v = 0; v < VECTORS; v++) {
    const uint8_t *p = block + 2 * OUT + 4 * W * v;
    if (bits == 4) {
      rows_int4(p, block_scales(block, v), x->values + place * IN, x->scales + place,
                x->offsets + place, rows, totals + v * W);
    } else {
      rows_int8(p, block_scales(block, v), x->values + place * IN, x->scales + place, rows,
                totals + v * W);
    }
  }
}

/// One tile of 16 outputs, `live` of which exist, times `rows` rows over all inputs.
INLINE void tile_rows(int bits, const uint8_t *blocks, const struct quantised_rows *x, long first,
                      long rows, long live, float *c, long c_stride, bool accumulate,
                      const float *bias) {
  const long size = SA_BLOCK_BYTES(bits);
  float totals[ROW_CHUNK * OUT];
  memset(totals, 0, (size_t)(rows * OUT) * sizeof(float));
  for (long g = 0; g < x->blocks; g++) {
    if (first == 0) { // later rows find the weights near
      for (long line = 0; line < size; line += 64) {
        __builtin_prefetch(blocks + 4096 + line, 0, 3);
      }
    }
    block_rows(bits, blocks, x, first, rows, g, totals);
    blocks += size;
  }
  for (long i = 0; i < rows; i++) {
    float *out = c + i * c_stride;
    for (long o = 0; o < live; o++) {
      float value = totals[i * OUT + o];
      if (bias) {
        value = value + bias[o];
      }
      out[o] = accumulate ? out[o] + value : value;
    }
  }
}

INLINE void gemm_bits(int bits, long n, const struct quantised_rows *x, const uint8_t *blocks,
                      float *c, long c_stride, bool accumulate, const float *bias) {
  const long tile_bytes = x->blocks * SA_BLOCK_BYTES(bits);
  for (long j0 = 0; j0 < n; j0 += TILE_GROUP * OUT) {
    long end = n - j0 < TILE_GROUP * OUT ? n : j0 + TILE_GROUP * OUT;
    for (long first = 0; first < x->rows; first += ROW_CHUNK) {
      long rows = x->rows - first < ROW_CHUNK ? x->rows - first : ROW_CHUNK;
      for (long j = j0; j < end; j += OUT) {
        tile_rows(bits, blocks + j / OUT * tile_bytes, x, first, rows, end - j < OUT ? end - j : OUT,
                  c + first * c_stride + j, c_stride, accumulate, bias ? bias + j : NULL);
      }
    }
  }
}

static void gemm_quantised(long m, long n, long k, int bits, const int8_t *values,
                           const float *scales, const int32_t *offsets, const uint8_t *blocks,
                           float *c, long c_stride, bool accumulate, const float *bias) {
  const struct quantised_rows x = {values, scales, offsets, m, (k + IN - 1) / IN};
  if (bits == 4) {
    gemm_bits(4, n, &x, blocks, c, c_stride, accumulate, bias);
  } else {
    gemm_bits(8, n, &x, blocks, c, c_stride, accumulate, bias);
  }
}

/// Rounds some of `all` rows of activations to int8, block by block; the last block is filled with
/// zeros. `x` is the first of the rows, number `start` of all.
static void quantise_rows(long start, long rows, long all, long k, const float *x, long stride,
                          int8_t *values, float *scales, int32_t *offsets) {
  for (long r = 0; r < rows; r++) {
    for (long p = 0; p < k; p += IN) {
      const long place = block_place(start + r, p / IN, all, (k + IN - 1) / IN);
      float block[IN];
      const float *in = x + r * stride + p;
      long live = k - p < IN ? k - p : IN;
      for (long i = 0; i < IN; i++) {
        block[i] = 0;
      }
      memcpy(block, in, (size_t)live * sizeof(float));
      vf largest = (vf)0.0f, poison = (vf)0.0f; // the latter is NaN where a value is not finite
      for (long i = 0; i < IN; i += W) {
        vf v = absolute(load(block + i));
        largest = v > largest ? v : largest;
        poison += v - v;
      }
      float top = maximum(largest);
      float inverse = top > 0 ? 127.0f / top : 0;
      vi total = (vi)0;
      for (long i = 0; i < IN; i += W) {
        vi whole = __builtin_convertvector(nearest(load(block + i) * (vf)inverse), vi);
        total += whole;
        __attribute__((ext_vector_type(W))) int8_t narrow =
            __builtin_convertvector(whole, __attribute__((ext_vector_type(W))) int8_t);
        memcpy(values + place * IN + i, &narrow, sizeof narrow);
      }
      int32_t whole_sum = 0;
      for (int i = 0; i < W; i++) {
        whole_sum += total[i];
      }
      scales[place] = top / 127.0f + sum(poison);
      offsets[place] = 8 * whole_sum;
    }
  }
}
