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

/// Sums of neighbouring 16-bit pairs times `factor`.
INLINE vi pair_sums(vs x, short factor) {
#if SA_WIDTH == 8
  return (vi)_mm256_madd_epi16((__m256i)x, _mm256_set1_epi16(factor));
#elif SA_WIDTH == 16
  return (vi)_mm512_madd_epi16((__m512i)x, _mm512_set1_epi16(factor));
#else
  vi pair = (vi)x;
  return ((pair << 16 >> 16) + (pair >> 16)) * (int)factor;
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

/// Quantised rows: values, one scale a block, and what the weights' offset adds to a block's sum.
struct quantised_rows {
  const int8_t *values;
  const float *scales;
  const int32_t *offsets;
  long blocks; // a row's
};

/// total += scales * (sum - offset), for one vector of outputs.
INLINE void add_block(float *total, vi sum, int32_t offset, float scale, const uint8_t *block,
                      int v) {
  uint16_t weights[W];
  memcpy(weights, block + 2 * v * W, sizeof weights);
  vf value = __builtin_convertvector(sum - (vi)offset, vf);
  store(total + v * W, load(total + v * W) + value * (widen(weights) * (vf)scale));
}

/// One block of int4 weights times `rows` rows; `count` vectors of outputs from `first` on.
INLINE void block_int4(int rows, const uint8_t *block, const struct quantised_rows *x, long row,
                       long g, float (*totals)[OUT]) {
  const int vectors = VECTORS < 2 ? VECTORS : 2;
#pragma unroll
  for (int first = 0; first < VECTORS; first += vectors) {
    vs sums[4][2];
#pragma unroll
    for (int i = 0; i < rows; i++) {
      sums[i][0] = (vs)(short)0;
      sums[i][1] = (vs)(short)0;
    }
// Not unrolled: the compiler would take the rows one after the other and spill the weights.
#pragma clang loop unroll(disable)
    for (int s = 0; s < IN / 8; s++) {
      vb low[2], high[2];
#pragma unroll
      for (int v = 0; v < vectors; v++) {
        vb w = load_bytes(block + 2 * OUT + 4 * OUT * s + 4 * W * (first + v));
        low[v] = low_halves(w);
        high[v] = high_halves(w);
      }
#pragma unroll
      for (int i = 0; i < rows; i++) {
        const int8_t *a = x->values + ((row + i) * x->blocks + g) * IN + 8 * s;
        vb a0 = broadcast(a), a1 = broadcast(a + 4);
#pragma unroll
        for (int v = 0; v < vectors; v++) {
          sums[i][v] += pair_products(low[v], a0);
          sums[i][v] += pair_products(high[v], a1);
        }
      }
    }
#pragma unroll
    for (int i = 0; i < rows; i++) {
      long place = (row + i) * x->blocks + g;
#pragma unroll
      for (int v = 0; v < vectors; v++) {
        add_block(totals[i], pair_sums(sums[i][v], 1), x->offsets[place], x->scales[place], block,
                  first + v);
      }
    }
  }
}

/// One block of int8 weights times `rows` rows: the two halves of a byte are summed apart, so that
/// no 16-bit sum overflows (8 x 2 x 15 x 127 < 32768).
INLINE void block_int8(int rows, const uint8_t *block, const struct quantised_rows *x, long row,
                       long g, float (*totals)[OUT]) {
#pragma unroll
  for (int v = 0; v < VECTORS; v++) {
    vs low[4], high[4];
#pragma unroll
    for (int i = 0; i < rows; i++) {
      low[i] = (vs)(short)0;
      high[i] = (vs)(short)0;
    }
#pragma clang loop unroll(disable)
    for (int s = 0; s < IN / 4; s++) {
      vb w = load_bytes(block + 2 * OUT + 4 * OUT * s + 4 * W * v);
      vb w0 = low_halves(w), w1 = high_halves(w);
#pragma unroll
      for (int i = 0; i < rows; i++) {
        vb a = broadcast(x->values + ((row + i) * x->blocks + g) * IN + 4 * s);
        low[i] += pair_products(w0, a);
        high[i] += pair_products(w1, a);
      }
    }
#pragma unroll
    for (int i = 0; i < rows; i++) {
      long place = (row + i) * x->blocks + g;
      add_block(totals[i], pair_sums(low[i], 1) + pair_sums(high[i], 16), x->offsets[place],
                x->scales[place], block, v);
    }
  }
}

/// One tile of 16 outputs times `rows` rows over all inputs.
INLINE void tile_quantised(int bits, int rows, const uint8_t *block, const struct quantised_rows *x,
                           long row, float (*totals)[OUT]) {
  const long size = SA_BLOCK_BYTES(bits);
  for (int i = 0; i < rows; i++) {
    for (int o = 0; o < OUT; o++) {
      totals[i][o] = 0;
    }
  }
  for (long g = 0; g < x->blocks; g++) {
    if (rows <= 2) { // memory sets the pace
      for (long line = 0; line < size; line += 64) {
        __builtin_prefetch(block + 4096 + line, 0, 3);
      }
    }
    if (bits == 4) {
      block_int4(rows, block, x, row, g, totals);
    } else {
      block_int8(rows, block, x, row, g, totals);
    }
    block += size;
  }
}

INLINE void gemm_bits(int bits, long m, long n, const struct quantised_rows *x,
                      const uint8_t *blocks, float *c, long c_stride, bool accumulate,
                      const float *bias) {
  float totals[4][OUT];
  for (long j = 0; j < n; j += OUT) {
    long live = n - j < OUT ? n - j : OUT;
    for (long i = 0; i < m;) {
      int rows = m - i < 4 ? (int)(m - i) : 4;
      switch (rows) { // the compiler needs the number of rows to keep their sums in registers
      case 1:
        tile_quantised(bits, 1, blocks, x, i, totals);
        break;
      case 2:
        tile_quantised(bits, 2, blocks, x, i, totals);
        break;
      case 3:
        tile_quantised(bits, 3, blocks, x, i, totals);
        break;
      default:
        tile_quantised(bits, 4, blocks, x, i, totals);
      }
      for (int r = 0; r < rows; r++) {
        float *out = c + (i + r) * c_stride + j;
        for (long o = 0; o < live; o++) {
          float value = totals[r][o];
          if (bias) {
            value = value + bias[j + o];
          }
          out[o] = accumulate ? out[o] + value : value;
        }
      }
      i += rows;
    }
    blocks += x->blocks * SA_BLOCK_BYTES(bits);
  }
}

static void gemm_quantised(long m, long n, long k, int bits, const int8_t *values,
                           const float *scales, const int32_t *offsets, const uint8_t *blocks,
                           float *c, long c_stride, bool accumulate, const float *bias) {
  const struct quantised_rows x = {values, scales, offsets, (k + IN - 1) / IN};
  if (bits == 4) {
    gemm_bits(4, m, n, &x, blocks, c, c_stride, accumulate, bias);
  } else {
    gemm_bits(8, m, n, &x, blocks, c, c_stride, accumulate, bias);
  }
}

/// Rounds rows of activations to int8, block by block; the last block is filled with zeros.
static void quantise_rows(long rows, long k, int bits, const float *x, long stride, int8_t *values,
                          float *scales, int32_t *offsets) {
  const int offset = bits == 4 ? 8 : 128;
  for (long r = 0; r < rows; r++) {
    for (long p = 0; p < k; p += IN) {
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
        memcpy(values + i, &narrow, sizeof narrow);
      }
      int32_t whole_sum = 0;
      for (int i = 0; i < W; i++) {
        whole_sum += total[i];
      }
      *scales++ = top / 127.0f + sum(poison);
      *offsets++ = whole_sum * offset;
      values += IN;
    }
  }
}
