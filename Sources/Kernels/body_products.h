// Matrix products in fp32 with fp32 or bf16 weights. Algorithm: packed panels after Goto and van de
// Geijn, "Anatomy of High-Performance Matrix Multiplication" (2008).
//
// One order of summation: over k in blocks of KC, inside a block one fused
// multiply-add after the other, the blocks' sums added in order. So the bits of a row of C depend on
// neither the number of rows nor the split over threads.

/// Rows up to which a strip of B is read once from end to end.
#define FEW_ROWS 32

INLINE vf load_b(const void *b, int type, long index) {
  return type == SA_BFLOAT16 ? widen((const uint16_t *)b + index) : load((const float *)b + index);
}

INLINE float load_b_one(const void *b, int type, long index) {
  return type == SA_BFLOAT16 ? widen_one(((const uint16_t *)b)[index]) : ((const float *)b)[index];
}

/// Inputs that one transposed block covers: a 32-bit lane holds one float or two bf16.
#define SPAN(type) ((type) == SA_BFLOAT16 ? 2 * W : W)

/// t[p] = the weights of W outputs at input `k0 + p`, for SPAN(type) inputs; `rows` are the outputs'.
INLINE void load_transposed(const long *rows, long k0, const void *b, int type, vf *t) {
  vf block[W];
  for (int o = 0; o < W; o++) {
    block[o] = type == SA_BFLOAT16
                   ? load((const float *)((const uint16_t *)b + rows[o] + k0))
                   : load((const float *)b + rows[o] + k0);
  }
  transpose(block);
  for (int p = 0; p < W; p++) {
    if (type == SA_BFLOAT16) {
      vu pair;
      memcpy(&pair, &block[p], sizeof pair);
      vu low = pair << 16, high = pair & 0xFFFF0000u;
      memcpy(&t[2 * p], &low, sizeof low);
      memcpy(&t[2 * p + 1], &high, sizeof high);
    } else {
      t[p] = block[p];
    }
  }
}

INLINE vf load_column(const long *rows, long p, const void *b, int type) {
  float block[W];
  for (int o = 0; o < W; o++) {
    block[o] = load_b_one(b, type, rows[o] + p);
  }
  return load(block);
}

static void write_tile(const float *tile, long rows, long columns, float *c, long c_stride,
                       float alpha, bool accumulate, const float *bias) {
  for (long i = 0; i < rows; i++) {
    const float *in = tile + i * NR;
    float *out = c + i * c_stride;
    if (columns == NR) {
      for (int half = 0; half < NR; half += W) {
        vf v = load(in + half) * (vf)alpha;
        if (bias) {
          v = v + load(bias + half);
        }
        if (accumulate) {
          v = v + load(out + half);
        }
        store(out + half, v);
      }
    } else {
      for (long j = 0; j < columns; j++) {
        float v = in[j] * alpha;
        if (bias) {
          v = v + bias[j];
        }
        if (accumulate) {
          v = v + out[j];
        }
        out[j] = v;
      }
    }
  }
}

/// Asks for `bytes` at `p` ahead of their use.
INLINE void prefetch(const char *p, long bytes) {
  for (long i = 0; i < bytes; i += 64) {
    __builtin_prefetch(p + i, 0, 2);
  }
}

// ---- One row: weights go from memory to registers once -------------------------------------

/// `vectors` x W outputs from `first` on. While they are summed, the weights that follow are fetched
/// in the order in which they lie, so that memory sees one stream.
INLINE void row_block(int vectors, long first, long n, long k, const float *a, const void *b,
                      long b_stride, int type, float *c, float alpha, bool accumulate,
                      const float *bias) {
  long rows[2][W];
  for (int v = 0; v < vectors; v++) {
    for (long o = 0; o < W; o++) {
      long output = first + v * W + o;
      rows[v][o] = (output < n ? output : n - 1) * b_stride;
    }
  }
  const long element = type == SA_BFLOAT16 ? 2 : 4;
  const char *next = (const char *)b + (first + vectors * W) * b_stride * element;
  const bool fetches = b_stride == k && first + vectors * W < n;
  const long step = vectors * W * SPAN(type) * element;
  float tile[2 * W];
  long k0 = 0;
  do { // at least once: without inputs the result is the bias
    long end = k - k0 < KC ? k : k0 + KC;
    vf total[2];
    for (int v = 0; v < vectors; v++) {
      total[v] = (vf)0.0f;
    }
    long p = k0;
    for (; p + SPAN(type) <= end; p += SPAN(type)) {
      if (fetches) {
        prefetch(next, step);
        next += step;
      }
#pragma unroll
      for (int v = 0; v < vectors; v++) {
        vf t[2 * W];
        load_transposed(rows[v], p, b, type, t);
#pragma unroll
        for (int q = 0; q < SPAN(type); q++) {
          total[v] += (vf)a[p + q] * t[q];
        }
      }
    }
    for (; p < end; p++) {
      for (int v = 0; v < vectors; v++) {
        total[v] += (vf)a[p] * load_column(rows[v], p, b, type);
      }
    }
    for (int v = 0; v < vectors; v++) {
      store(tile + v * W, total[v]);
    }
    for (long j = 0; j < vectors * W && first + j < n; j += NR) {
      long live = n - first - j < NR ? n - first - j : NR;
      live = vectors * W - j < live ? vectors * W - j : live;
      write_tile(tile + j, 1, live, c + first + j, 0, alpha, accumulate || k0 > 0,
                 bias && k0 == 0 ? bias + first + j : NULL);
    }
    k0 += KC;
  } while (k0 < k);
}

INLINE void one_row(long n, long k, const float *a, const void *b, long b_stride, int type,
                    float *c, float alpha, bool accumulate, const float *bias) {
  long j = 0;
  for (; j + W < n; j += 2 * W) {
    row_block(2, j, n, k, a, b, b_stride, type, c, alpha, accumulate, bias);
  }
  for (; j < n; j += W) {
    row_block(1, j, n, k, a, b, b_stride, type, c, alpha, accumulate, bias);
  }
}

// ---- Many rows: packed panels --------------------------------------------------------------

/// Packs A[rows, kc] into panels of MR rows: panel[p * MR + i], zeros below the last row.
INLINE void pack_a(long rows, long kc, const float *a, long a_stride, float *panel) {
  for (long first = 0; first < rows; first += MR) {
    long live = rows - first < MR ? rows - first : MR;
    for (long i = 0; i < MR; i++) {
      const float *x = a + (first + i) * a_stride;
      float *out = panel + i;
      if (i < live) {
        for (long p = 0; p < kc; p++) {
          out[p * MR] = x[p];
        }
      } else {
        for (long p = 0; p < kc; p++) {
          out[p * MR] = 0;
        }
      }
    }
    panel += kc * MR;
  }
}

/// Packs the outputs `first` to `first + NR` of B, `live` of which exist, over kc inputs:
/// panel[p * NR + j], zeros past the last output.
INLINE void pack_b(long live, long kc, const void *b, long b_stride, int type, bool is_kn,
                   long first, long k0, float *panel) {
  if (is_kn) {
    for (long p = 0; p < kc; p++) {
      long index = (k0 + p) * b_stride + first;
      float *out = panel + p * NR;
      if (live == NR) {
        store(out, load_b(b, type, index));
        store(out + W, load_b(b, type, index + W));
      } else {
        for (long o = 0; o < NR; o++) {
          out[o] = o < live ? load_b_one(b, type, index + o) : 0;
        }
      }
    }
    return;
  }
  for (int half = 0; half < 2; half++) {
    long rows[W];
    for (long o = 0; o < W; o++) {
      long output = half * W + o < live ? half * W + o : live - 1;
      rows[o] = (first + output) * b_stride;
    }
    float *out = panel + half * W;
    long p = 0;
    for (; p + SPAN(type) <= kc; p += SPAN(type)) {
      vf t[2 * W];
      load_transposed(rows, k0 + p, b, type, t);
#pragma unroll
      for (int q = 0; q < SPAN(type); q++) {
        store(out + (p + q) * NR, t[q]);
      }
    }
    for (; p < kc; p++) {
      store(out + p * NR, load_column(rows, k0 + p, b, type));
    }
  }
}

/// One tile of `rows` x NR: tile = A panel * B panel.
INLINE void multiply_tile(int rows, long kc, const float *a, const float *b, float *tile) {
  vf t[MR][2];
#pragma unroll
  for (int i = 0; i < rows; i++) {
    t[i][0] = (vf)0.0f;
    t[i][1] = (vf)0.0f;
  }
  for (long p = 0; p < kc; p++) {
    vf b0 = load(b);
    vf b1 = load(b + W);
#pragma unroll
    for (int i = 0; i < rows; i++) {
      vf x = (vf)a[i];
      t[i][0] += x * b0;
      t[i][1] += x * b1;
    }
    a += MR;
    b += NR;
  }
#pragma unroll
  for (int i = 0; i < rows; i++) {
    store(tile + i * NR, t[i][0]);
    store(tile + i * NR + W, t[i][1]);
  }
}

static void multiply_rows(long rows, long kc, const float *a, const float *b, float *tile) {
  switch (rows) { // the compiler needs the number of rows to keep them in registers
  case 1:
    multiply_tile(1, kc, a, b, tile);
    break;
  case 2:
    multiply_tile(2, kc, a, b, tile);
    break;
  case 3:
    multiply_tile(3, kc, a, b, tile);
    break;
  case 4:
    multiply_tile(4, kc, a, b, tile);
    break;
#if SA_TILE_ROWS > 6
  case 5:
  case 6:
    multiply_tile(6, kc, a, b, tile);
    break;
  case 7:
  case 8:
    multiply_tile(8, kc, a, b, tile);
    break;
#endif
  default:
    multiply_tile(MR, kc, a, b, tile);
  }
}

struct product {
  long m, n, k;
  const float *a;
  long a_stride;
  const void *b;
  long b_stride;
  float *c;
  long c_stride;
  float alpha;
  bool accumulate;
  const float *bias;
};

/// The tiles of rows i0..<i0+mc and outputs j..<j+NR over one block of inputs.
INLINE void strip(const struct product *g, long i0, long mc, long j, long k0, long kc,
                  const float *a_panel, const float *b_panel, float *tile) {
  long columns = g->n - j < NR ? g->n - j : NR;
  for (long i = 0; i < mc; i += MR) {
    long rows = mc - i < MR ? mc - i : MR;
    if (rows == MR) {
      multiply_tile(MR, kc, a_panel + i * kc, b_panel, tile);
    } else {
      multiply_rows(rows, kc, a_panel + i * kc, b_panel, tile);
    }
    write_tile(tile, rows, columns, g->c + (i0 + i) * g->c_stride + j, g->c_stride, g->alpha,
               g->accumulate || k0 > 0, g->bias && k0 == 0 ? g->bias + j : NULL);
  }
}

/// A few rows: all of A is packed, then every strip of B is read once from end to end.
INLINE void few_rows(const struct product *g, int type, bool is_kn, float *scratch) {
  float *tile = scratch;
  float *b_panel = tile + MR * NR;
  float *a_panel = b_panel + KC * NR;
  long padded = (g->m + MR - 1) / MR * MR;
  for (long k0 = 0; k0 < g->k; k0 += KC) {
    long kc = g->k - k0 < KC ? g->k - k0 : KC;
    pack_a(g->m, kc, g->a + k0, g->a_stride, a_panel + padded * k0);
  }
  const long element = type == SA_BFLOAT16 ? 2 : 4;
  for (long j = 0; j < g->n; j += NR) {
    long live = g->n - j < NR ? g->n - j : NR;
    const char *next = (const char *)g->b + (j + NR) * g->b_stride * element;
    const bool fetches = !is_kn && g->b_stride == g->k && j + NR < g->n;
    for (long k0 = 0; k0 < g->k; k0 += KC) {
      long kc = g->k - k0 < KC ? g->k - k0 : KC;
      if (fetches) {
        prefetch(next, NR * kc * element);
        next += NR * kc * element;
      }
      pack_b(live, kc, g->b, g->b_stride, type, is_kn, j, k0, b_panel);
      strip(g, 0, g->m, j, k0, kc, a_panel + padded * k0, b_panel, tile);
    }
  }
}

INLINE void many_rows(const struct product *g, int type, bool is_kn, float *scratch) {
  float *tile = scratch;
  float *b_panel = tile + MR * NR;
  float *a_panel = b_panel + KC * (NC + NR);
  for (long j0 = 0; j0 < g->n; j0 += NC) {
    long nc = g->n - j0 < NC ? g->n - j0 : NC;
    for (long k0 = 0; k0 < g->k; k0 += KC) {
      long kc = g->k - k0 < KC ? g->k - k0 : KC;
      for (long j = 0; j < nc; j += NR) {
        pack_b(nc - j < NR ? nc - j : NR, kc, g->b, g->b_stride, type, is_kn, j0 + j, k0,
               b_panel + j * kc);
      }
      for (long i0 = 0; i0 < g->m; i0 += MC) {
        long mc = g->m - i0 < MC ? g->m - i0 : MC;
        pack_a(mc, kc, g->a + i0 * g->a_stride + k0, g->a_stride, a_panel);
        for (long j = 0; j < nc; j += NR) {
          strip(g, i0, mc, j0 + j, k0, kc, a_panel, b_panel + j * kc, tile);
        }
      }
    }
  }
}

/// One or a few rows times [k, n], of which a row is read as it lies; the same order of summation.
static void rows_kn(const struct product *g, int type) {
  for (long i = 0; i < g->m; i++) {
    const float *x = g->a + i * g->a_stride;
    float tile[NR];
    for (long j = 0; j < g->n; j += NR) {
      long live = g->n - j < NR ? g->n - j : NR;
      long k0 = 0;
      do {
        long end = g->k - k0 < KC ? g->k : k0 + KC;
        if (live == NR) {
          vf t0 = (vf)0.0f, t1 = (vf)0.0f;
          for (long p = k0; p < end; p++) {
            t0 += (vf)x[p] * load_b(g->b, type, p * g->b_stride + j);
            t1 += (vf)x[p] * load_b(g->b, type, p * g->b_stride + j + W);
          }
          store(tile, t0);
          store(tile + W, t1);
        } else {
          for (long o = 0; o < live; o++) {
            float t = 0;
            for (long p = k0; p < end; p++) {
              t += x[p] * load_b_one(g->b, type, p * g->b_stride + j + o);
            }
            tile[o] = t;
          }
        }
        write_tile(tile, 1, live, g->c + i * g->c_stride + j, 0, g->alpha, g->accumulate || k0 > 0,
                   g->bias && k0 == 0 ? g->bias + j : NULL);
        k0 += KC;
      } while (k0 < g->k);
    }
  }
}

INLINE void product(const struct product *g, int type, bool is_kn, float *scratch) {
  if (!is_kn && g->m == 1) {
    one_row(g->n, g->k, g->a, g->b, g->b_stride, type, g->c, g->alpha, g->accumulate, g->bias);
  } else if (scratch == NULL || g->k == 0 || (is_kn && g->m <= 4)) {
    if (is_kn) {
      rows_kn(g, type);
      return;
    }
    for (long i = 0; i < g->m; i++) {
      one_row(g->n, g->k, g->a + i * g->a_stride, g->b, g->b_stride, type,
              g->c + i * g->c_stride, g->alpha, g->accumulate, g->bias);
    }
  } else if (g->m <= FEW_ROWS) {
    few_rows(g, type, is_kn, scratch);
  } else {
    many_rows(g, type, is_kn, scratch);
  }
}

static void gemm(long m, long n, long k, const float *a, long a_stride, const void *b,
                 long b_stride, int b_type, bool b_is_kn, float *c, long c_stride, float alpha,
                 bool accumulate, const float *bias) {
  const struct product g = {m, n,        k,     a,          a_stride, b, b_stride,
                            c, c_stride, alpha, accumulate, bias};
  long floats = MR * NR;
  if (m <= FEW_ROWS) {
    floats += KC * NR + (m + MR) * k;
  } else {
    floats += KC * (NC + NR) + (MC + MR) * KC;
  }
  float *scratch = m > 1 ? sa_scratch(floats * (long)sizeof(float)) : NULL;
  if (b_type == SA_BFLOAT16) {
    product(&g, SA_BFLOAT16, b_is_kn, scratch);
  } else {
    product(&g, SA_FLOAT32, b_is_kn, scratch);
  }
}
