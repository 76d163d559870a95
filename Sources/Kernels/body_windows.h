// Products of windows of a sequence with packed weights: 1-D convolutions of any step and dilation, and
// with windows of one row ordinary matrix products. Rows of the input are read where they lie; only
// blocks of windows that reach past an end are copied, with zeros around them.
//
// The order of summation is that of body_products.h: over the inputs (tap by tap, channel by channel)
// in blocks of KC, inside a block one fused multiply-add after the other. So the bits of an output row
// depend on its window and the weights only.

/// Inputs whose addresses follow each other: `count` floats, `offset` floats from a window's first row.
struct piece {
  long offset, count;
};

/// t = sums of `rows` windows from `a` on (`live` of which exist) with `vectors` vectors of outputs.
INLINE void sum_windows(int rows, int vectors, long live, const struct piece *pieces, long count,
                        const float *a, long step, const float *b, long next, vf t[MR][2]) {
#pragma unroll
  for (int i = 0; i < rows; i++) {
    t[i][0] = (vf)0.0f;
    t[i][1] = (vf)0.0f;
  }
  for (long piece = 0; piece < count; piece++) {
    const float *x[MR];
#pragma unroll
    for (int i = 0; i < rows; i++) {
      x[i] = a + pieces[piece].offset + (i < live ? i : live - 1) * step;
    }
    const long inputs = pieces[piece].count;
#pragma unroll 4
    for (long p = 0; p < inputs; p++) {
      vf b0 = load(b);
      vf b1 = vectors > 1 ? load(b + next) : b0;
#pragma unroll
      for (int i = 0; i < rows; i++) {
        vf v = (vf)x[i][p];
        t[i][0] += v * b0;
        if (vectors > 1) {
          t[i][1] += v * b1;
        }
      }
      b += SA_PANEL;
    }
  }
}

/// What happens to the sums of a block of inputs; pointers are those of the tile's first output.
struct ending {
  const float *bias;
  bool is_first, is_last; // of the blocks of inputs
  int function;
  float parameter;
  const float *alpha;
  const float *addend; // null when it is another block's turn
  long addend_stride;
};

/// The rows to add, where it is this block's turn: after the function, or else at once, so that they may
/// be the output, which holds the sums of the blocks so far.
INLINE const float *addend_of(const struct sa_windows *g, bool is_first, bool is_last, long row,
                              long column) {
  const bool is_due = g->function < 0 ? is_first : is_last;
  return g->addend && is_due ? g->addend + row * g->addend_stride + column : NULL;
}

/// Applies a function that is known to the compiler to `live` rows of a tile.
INLINE void apply_to_tile(int function, const struct ending *end, float *tile, long live) {
  for (long i = 0; i < live * NR; i += W) {
    store(tile + i, evaluate(function, load(tile + i), end->parameter));
  }
}

static void finish_tile(const struct ending *end, float *tile, long live, long columns, float *c,
                        long c_stride) {
  if (columns < NR) { // the unused columns hold sums with zeros; the buffers end before them
    for (long i = 0; i < live; i++) {
      for (long j = 0; j < columns; j++) {
        tile[i * NR + j] += !end->is_first ? c[i * c_stride + j] : end->bias ? end->bias[j] : 0;
      }
    }
  } else if (!end->is_first || end->bias) {
    for (long i = 0; i < live; i++) {
      const float *more = end->is_first ? end->bias : c + i * c_stride;
      store(tile + i * NR, load(tile + i * NR) + load(more));
      store(tile + i * NR + W, load(tile + i * NR + W) + load(more + W));
    }
  }
  if (end->is_last) {
    switch (end->function) {
    case SA_RELU:
      apply_to_tile(SA_RELU, end, tile, live);
      break;
    case SA_LEAKY_RELU:
      apply_to_tile(SA_LEAKY_RELU, end, tile, live);
      break;
    case SA_ELU:
      apply_to_tile(SA_ELU, end, tile, live);
      break;
    case SA_SILU:
      apply_to_tile(SA_SILU, end, tile, live);
      break;
    case SA_GELU:
      apply_to_tile(SA_GELU, end, tile, live);
      break;
    case SA_MISH:
      apply_to_tile(SA_MISH, end, tile, live);
      break;
    case SA_SNAKE:
      for (long j = 0; j < NR && j < columns; j += W) {
        vf alpha = columns - j >= W ? load(end->alpha + j)
                                    : load_part(end->alpha + j, columns - j, 1);
        vf inverse = snake_inverse(alpha);
        for (long i = 0; i < live; i++) {
          store(tile + i * NR + j, snake_of(load(tile + i * NR + j), alpha, inverse));
        }
      }
      break;
    default:
      break;
    }
  }
  for (long i = 0; i < live; i++) {
    const float *in = tile + i * NR;
    const float *more = end->addend ? end->addend + i * end->addend_stride : NULL;
    float *out = c + i * c_stride;
    if (columns >= NR) {
      store(out, more ? load(in) + load(more) : load(in));
      store(out + W, more ? load(in + W) + load(more + W) : load(in + W));
    } else {
      for (long j = 0; j < columns; j++) {
        out[j] = more ? in[j] + more[j] : in[j];
      }
    }
  }
}

INLINE void window_tile(int rows, int vectors, long live, const struct piece *pieces, long count,
                        const float *a, long step, const float *b, long next,
                        const struct ending *end, long columns, float *c, long c_stride) {
  vf t[MR][2];
  sum_windows(rows, vectors, live, pieces, count, a, step, b, next, t);
  if (vectors == 2 && columns >= NR && (!end->is_last || end->function < 0)) {
    const float *more = end->is_first ? end->bias : c; // the bias, then the sums so far
    const long stride = end->is_first ? 0 : c_stride;
#pragma unroll
    for (int i = 0; i < rows; i++) {
      if (i < live) {
        vf v0 = t[i][0], v1 = t[i][1];
        if (more) {
          v0 += load(more + i * stride);
          v1 += load(more + i * stride + W);
        }
        if (end->addend) {
          v0 += load(end->addend + i * end->addend_stride);
          v1 += load(end->addend + i * end->addend_stride + W);
        }
        store(c + i * c_stride, v0);
        store(c + i * c_stride + W, v1);
      }
    }
    return;
  }
  float tile[MR * NR];
#pragma unroll
  for (int i = 0; i < rows; i++) {
    store(tile + i * NR, t[i][0]);
    store(tile + i * NR + W, vectors > 1 ? t[i][1] : (vf)0.0f);
  }
  finish_tile(end, tile, live, columns, c, c_stride);
}

INLINE void window_rows(int vectors, long live, const struct piece *pieces, long count,
                        const float *a, long step, const float *b, long next,
                        const struct ending *end, long columns, float *c, long c_stride) {
  if (live == MR) { // the compiler needs the number of rows to keep them in registers
    window_tile(MR, vectors, MR, pieces, count, a, step, b, next, end, columns, c, c_stride);
  } else if (live == 1) {
    window_tile(1, vectors, 1, pieces, count, a, step, b, next, end, columns, c, c_stride);
  } else if (live <= 3) {
    window_tile(3, vectors, live, pieces, count, a, step, b, next, end, columns, c, c_stride);
  } else {
    window_tile(MR, vectors, live, pieces, count, a, step, b, next, end, columns, c, c_stride);
  }
}

/// Cuts the inputs k0..<k1 of a window into pieces; `stride` floats lie between rows of the input.
INLINE long cut_pieces(const struct sa_windows *g, long stride, long k0, long k1,
                       struct piece *pieces) {
  long count = 0;
  while (k0 < k1) {
    long tap = k0 / g->channels, channel = k0 % g->channels;
    long length = g->channels - channel < k1 - k0 ? g->channels - channel : k1 - k0;
    long offset = tap * g->dilation * stride + channel;
    if (count > 0 && pieces[count - 1].offset + pieces[count - 1].count == offset) {
      pieces[count - 1].count += length;
    } else {
      pieces[count++] = (struct piece){offset, length};
    }
    k0 += length;
  }
  return count;
}

/// `count` windows from number `from` on, all inside the input; window `from` begins at `a`.
static void inner_windows(const struct sa_windows *g, long from, long count, const float *a,
                          long stride) {
  struct piece pieces[KC];
  const long k = g->taps * g->channels, step = g->step * stride;
  long k0 = 0;
  do { // at least once: without inputs the result is the bias
    const long k1 = k - k0 < KC ? k : k0 + KC;
    const long cut = cut_pieces(g, stride, k0, k1, pieces);
    for (long j = 0; j < g->outputs; j += NR) {
      const long columns = g->outputs - j < NR ? g->outputs - j : NR;
      const float *b = g->panels + (j / SA_PANEL * k + k0) * SA_PANEL + j % SA_PANEL;
      const long next = W == SA_PANEL ? k * SA_PANEL : W;
      struct ending end = {g->bias ? g->bias + j : NULL,
                           k0 == 0,
                           k1 == k,
                           g->function,
                           g->parameter,
                           g->alpha ? g->alpha + j : NULL,
                           addend_of(g, k0 == 0, k1 == k, from, j),
                           g->addend_stride};
      float *c = g->output + from * g->output_stride + j;
      for (long i = 0; i < count; i += MR) {
        const long live = count - i < MR ? count - i : MR;
        if (columns > W) {
          window_rows(2, live, pieces, cut, a + i * step, step, b, next, &end, columns, c,
                      g->output_stride);
        } else {
          window_rows(1, live, pieces, cut, a + i * step, step, b, next, &end, columns, c,
                      g->output_stride);
        }
        c += MR * g->output_stride;
        if (end.addend) {
          end.addend += MR * end.addend_stride;
        }
      }
    }
    k0 = k1;
  } while (k0 < k);
}

/// One output after the other, for when there is no memory for a copy; the same order of summation.
static void plain_windows(const struct sa_windows *g, long from, long count) {
  const long k = g->taps * g->channels;
  for (long i = from; i < from + count; i++) {
    for (long j = 0; j < g->outputs; j++) {
      const float *b = g->panels + j / SA_PANEL * k * SA_PANEL + j % SA_PANEL;
      for (long p = 0; p < k || p == 0;) {
        float tile[NR] = {0};
        const bool is_first = p == 0;
        for (const long end = p + KC; p < end && p < k; p++) {
          const long row = g->first + i * g->step + p / g->channels * g->dilation;
          const float x =
              row < 0 || row >= g->rows ? 0 : g->input[row * g->stride + p % g->channels];
          tile[0] += x * b[p * SA_PANEL];
        }
        struct ending end = {g->bias ? g->bias + j : NULL,
                             is_first,
                             p >= k,
                             g->function,
                             g->parameter,
                             g->alpha ? g->alpha + j : NULL,
                             addend_of(g, is_first, p >= k, i, j),
                             0};
        finish_tile(&end, tile, 1, 1, g->output + i * g->output_stride + j, 0);
        if (k == 0) {
          break;
        }
      }
    }
  }
}

static void windows(const struct sa_windows *g, long from, long count) {
  const long reach = g->taps > 0 ? (g->taps - 1) * g->dilation : 0;
  // Rows that lie pages apart fall into few sets of the caches: copied too, unless they are used once.
  const bool is_far = g->taps == 1 && g->stride >= 1024 && g->outputs >= 4 * NR && count >= MR;
  const long stride = g->taps == 1 ? g->channels + SA_PANEL : g->channels;
  for (const long end = from + count; from < end; from += MC) {
    const long part = end - from < MC ? end - from : MC;
    const long low = g->first + from * g->step;
    const long high = low + (part - 1) * g->step + reach;
    if (low >= 0 && high < g->rows && !is_far) {
      inner_windows(g, from, part, g->input + low * g->stride, g->stride);
      continue;
    }
    float *copy = sa_scratch((high - low + 1) * stride * (long)sizeof(float));
    if (copy == NULL) {
      plain_windows(g, from, part);
      continue;
    }
    for (long row = low; row <= high; row++) {
      float *to = copy + (row - low) * stride;
      if (row < 0 || row >= g->rows) {
        memset(to, 0, (size_t)g->channels * sizeof(float));
      } else {
        memcpy(to, g->input + row * g->stride, (size_t)g->channels * sizeof(float));
      }
    }
    inner_windows(g, from, part, copy, stride);
  }
}

/// Packs weights into panels. Weight (o, p) lies at `weights[o * output_stride + p * input_stride]`.
static void pack_panels(long outputs, long inputs, const float *weights, long output_stride,
                        long input_stride, float *panels) {
  for (long j = 0; j < outputs; j += SA_PANEL) {
    const long live = outputs - j < SA_PANEL ? outputs - j : SA_PANEL;
    const float *from = weights + j * output_stride;
    long p = 0;
    if (live == SA_PANEL && input_stride == 1) {
      for (; p + W <= inputs; p += W) {
        for (long o = 0; o < SA_PANEL; o += W) {
          vf t[W];
          for (int i = 0; i < W; i++) {
            t[i] = load(from + (o + i) * output_stride + p);
          }
          transpose(t);
          for (int i = 0; i < W; i++) {
            store(panels + (p + i) * SA_PANEL + o, t[i]);
          }
        }
      }
    } else if (live == SA_PANEL && output_stride == 1) {
      for (; p < inputs; p++) {
        memcpy(panels + p * SA_PANEL, from + p * input_stride, SA_PANEL * sizeof(float));
      }
    }
    for (; p < inputs; p++) {
      for (long o = 0; o < SA_PANEL; o++) {
        panels[p * SA_PANEL + o] = o < live ? from[o * output_stride + p * input_stride] : 0;
      }
    }
    panels += inputs * SA_PANEL;
  }
}
