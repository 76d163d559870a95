// The kernels themselves, written once with clang's vector types and compiled once per
// instruction-set level (SA_WIDTH floats a vector, SA_TILE_ROWS x 2 vectors a product tile).
// Algorithms: blocked matrix product with packed panels after Goto and van de Geijn, "Anatomy of
// High-Performance Matrix Multiplication" (2008); exp and sin by argument reduction and
// polynomials; erf by Abramowitz and Stegun 7.1.26 (absolute error 1.5e-7).

#define W SA_WIDTH
#define MR SA_TILE_ROWS
#define NR (2 * SA_WIDTH)
#define KC 256
#define NC 512
#define MC 96
#define INLINE static inline __attribute__((always_inline))

typedef float vf __attribute__((ext_vector_type(W)));
typedef int32_t vi __attribute__((ext_vector_type(W)));
typedef uint32_t vu __attribute__((ext_vector_type(W)));
typedef uint16_t vh __attribute__((ext_vector_type(W)));

INLINE vf load(const float *p) {
  vf v;
  memcpy(&v, p, sizeof v);
  return v;
}

INLINE void store(float *p, vf v) { memcpy(p, &v, sizeof v); }

INLINE vf load_part(const float *p, long count, float fill) {
  float block[W];
  for (int i = 0; i < W; i++) {
    block[i] = i < count ? p[i] : fill;
  }
  return load(block);
}

INLINE void store_part(float *p, vf v, long count) {
  float block[W];
  store(block, v);
  for (long i = 0; i < count; i++) {
    p[i] = block[i];
  }
}

INLINE vf widen(const uint16_t *p) {
  vh h;
  memcpy(&h, p, sizeof h);
  vu wide = __builtin_convertvector(h, vu) << 16;
  vf v;
  memcpy(&v, &wide, sizeof v);
  return v;
}

INLINE float widen_one(uint16_t h) {
  uint32_t wide = (uint32_t)h << 16;
  float v;
  memcpy(&v, &wide, sizeof v);
  return v;
}

INLINE float sum(vf v) {
  float block[W];
  store(block, v);
  for (int half = W / 2; half > 0; half /= 2) {
    for (int i = 0; i < half; i++) {
      block[i] += block[i + half];
    }
  }
  return block[0];
}

INLINE float maximum(vf v) {
  float block[W];
  store(block, v);
  float result = block[0];
  for (int i = 1; i < W; i++) {
    result = block[i] > result ? block[i] : result;
  }
  return result;
}

// ---- Elementary functions -----------------------------------------------------------------

/// Rounds to the nearest integer; |x| < 2^22.
INLINE vf nearest(vf x) {
  const vf magic = (vf)12582912.0f; // 1.5 * 2^23
  return (x + magic) - magic;
}

INLINE vf exponential(vf x) {
  x = x < (vf)-87.33f ? (vf)-87.33f : x;
  x = x > (vf)88.37f ? (vf)88.37f : x;
  vf n = nearest(x * (vf)1.44269504f);
  vf r = x - n * (vf)0.693359375f;
  r = r - n * (vf)-2.12194440e-4f;
  vf p = (vf)1.9875691500e-4f;
  p = p * r + (vf)1.3981999507e-3f;
  p = p * r + (vf)8.3334519073e-3f;
  p = p * r + (vf)4.1665795894e-2f;
  p = p * r + (vf)1.6666665459e-1f;
  p = p * r + (vf)5.0000001201e-1f;
  p = p * r * r + r + (vf)1.0f;
  vi power = (__builtin_convertvector(n, vi) + 127) << 23;
  vf scale;
  memcpy(&scale, &power, sizeof scale);
  return p * scale;
}

/// sin^2(x): reduced by multiples of pi, where the square has its period.
INLINE vf sine_squared(vf x) {
  vf n = nearest(x * (vf)0.318309886f);
  vf r = x - n * (vf)3.140625f;
  r = r - n * (vf)9.67502593994140625e-4f;
  r = r - n * (vf)1.509957990978376432e-7f;
  vf s = r * r;
  vf p = (vf)-2.3868346521031027639830001794722295e-8f;
  p = p * s + (vf)2.7557318446280698120880303e-6f;
  p = p * s + (vf)-1.98412698298579493134e-4f;
  p = p * s + (vf)8.33333333332211858878e-3f;
  p = p * s + (vf)-1.66666666666666307295e-1f;
  vf sine = p * s * r + r;
  return sine * sine;
}

INLINE vf logistic(vf x) { return (vf)1.0f / ((vf)1.0f + exponential(-x)); }

INLINE vf absolute(vf x) { return x < (vf)0.0f ? -x : x; }

INLINE vf hyperbolic_tangent(vf x) {
  vf a = absolute(x);
  a = a > (vf)20.0f ? (vf)20.0f : a;
  vf e = exponential(a * (vf)2.0f);
  vf large = (vf)1.0f - (vf)2.0f / (e + (vf)1.0f);
  vf s = x * x;
  vf small = a * ((vf)1.0f + s * ((vf)-0.333333333f + s * ((vf)0.133333333f -
                                                         s * (vf)0.053968254f)));
  vf t = a < (vf)0.1f ? small : large;
  return x < (vf)0.0f ? -t : t;
}

INLINE vf error_function(vf x) {
  vf a = absolute(x);
  vf t = (vf)1.0f / ((vf)1.0f + (vf)0.3275911f * a);
  vf p = (vf)1.061405429f;
  p = p * t + (vf)-1.453152027f;
  p = p * t + (vf)1.421413741f;
  p = p * t + (vf)-0.284496736f;
  p = p * t + (vf)0.254829592f;
  vf e = (vf)1.0f - p * t * exponential(-a * a);
  return x < (vf)0.0f ? -e : e;
}

INLINE vf evaluate(int function, vf x, float parameter) {
  switch (function) {
  case SA_RELU:
    return x > (vf)0.0f ? x : (vf)0.0f;
  case SA_LEAKY_RELU:
    return x > (vf)0.0f ? x : x * (vf)parameter;
  case SA_ELU:
    return x > (vf)0.0f ? x : exponential(x) - (vf)1.0f;
  case SA_SILU:
    return x * logistic(x);
  case SA_GELU:
    return (vf)0.5f * x * ((vf)1.0f + error_function(x * (vf)0.707106781f));
  case SA_MISH: {
    vf limited = x > (vf)20.0f ? (vf)20.0f : x;
    vf e = exponential(limited);
    vf n = e * (e + (vf)2.0f);
    return x * n / (n + (vf)2.0f);
  }
  case SA_SIGMOID:
    return logistic(x);
  case SA_TANH:
    return hyperbolic_tangent(x);
  default:
    return exponential(x);
  }
}

INLINE void apply_all(int function, float *x, long count, float parameter) {
  long i = 0;
  for (; i + W <= count; i += W) {
    store(x + i, evaluate(function, load(x + i), parameter));
  }
  if (i < count) {
    vf v = load_part(x + i, count - i, 0);
    store_part(x + i, evaluate(function, v, parameter), count - i);
  }
}

static void apply(int function, float *x, long count, float parameter) {
  switch (function) { // one loop per function: the compiler sees a constant
  case SA_RELU:
    apply_all(SA_RELU, x, count, parameter);
    break;
  case SA_LEAKY_RELU:
    apply_all(SA_LEAKY_RELU, x, count, parameter);
    break;
  case SA_ELU:
    apply_all(SA_ELU, x, count, parameter);
    break;
  case SA_SILU:
    apply_all(SA_SILU, x, count, parameter);
    break;
  case SA_GELU:
    apply_all(SA_GELU, x, count, parameter);
    break;
  case SA_MISH:
    apply_all(SA_MISH, x, count, parameter);
    break;
  case SA_SIGMOID:
    apply_all(SA_SIGMOID, x, count, parameter);
    break;
  case SA_TANH:
    apply_all(SA_TANH, x, count, parameter);
    break;
  default:
    apply_all(SA_EXP, x, count, parameter);
  }
}

INLINE vf snake_of(vf x, vf alpha) {
  return x + sine_squared(alpha * x) / (alpha + (vf)1e-9f);
}

static void snake(float *x, long rows, long columns, const float *alpha) {
  for (long r = 0; r < rows; r++) {
    float *row = x + r * columns;
    long i = 0;
    for (; i + W <= columns; i += W) {
      store(row + i, snake_of(load(row + i), load(alpha + i)));
    }
    if (i < columns) {
      vf v = load_part(row + i, columns - i, 0);
      store_part(row + i, snake_of(v, load_part(alpha + i, columns - i, 1)), columns - i);
    }
  }
}

static void silu_product(float *gate, const float *up, long count) {
  long i = 0;
  for (; i + W <= count; i += W) {
    vf g = load(gate + i);
    store(gate + i, g * logistic(g) * load(up + i));
  }
  if (i < count) {
    vf g = load_part(gate + i, count - i, 0);
    store_part(gate + i, g * logistic(g) * load_part(up + i, count - i, 0), count - i);
  }
}

static void add(float *x, const float *y, long count) {
  for (long i = 0; i < count; i++) {
    x[i] += y[i];
  }
}

static void scale(float *x, float factor, long count) {
  for (long i = 0; i < count; i++) {
    x[i] *= factor;
  }
}

static void softmax(float *x, long rows, long columns, long stride) {
  for (long r = 0; r < rows; r++) {
    float *row = x + r * stride;
    vf largest = (vf)-INFINITY;
    long i = 0;
    for (; i + W <= columns; i += W) {
      vf v = load(row + i);
      largest = v > largest ? v : largest;
    }
    if (i < columns) {
      vf v = load_part(row + i, columns - i, -INFINITY);
      largest = v > largest ? v : largest;
    }
    float top = maximum(largest);
    vf total = (vf)0.0f;
    for (i = 0; i + W <= columns; i += W) {
      vf v = load(row + i);
      vf e = exponential(v - (vf)top);
      e = v == (vf)-INFINITY ? (vf)0.0f : e;
      store(row + i, e);
      total += e;
    }
    if (i < columns) {
      vf v = load_part(row + i, columns - i, -INFINITY);
      vf e = exponential(v - (vf)top);
      e = v == (vf)-INFINITY ? (vf)0.0f : e;
      store_part(row + i, e, columns - i);
      total += e;
    }
    float norm = sum(total);
    scale(row, norm > 0 ? 1.0f / norm : 0.0f, columns);
  }
}

static void layer_norm(const float *x, float *y, long rows, long columns, const float *weight,
                       const float *bias, float epsilon) {
  for (long r = 0; r < rows; r++) {
    const float *row = x + r * columns;
    float *out = y + r * columns;
    vf total = (vf)0.0f;
    long i = 0;
    for (; i + W <= columns; i += W) {
      total += load(row + i);
    }
    float mean = sum(total);
    for (; i < columns; i++) {
      mean += row[i];
    }
    mean /= (float)columns;
    total = (vf)0.0f;
    for (i = 0; i + W <= columns; i += W) {
      vf d = load(row + i) - (vf)mean;
      total += d * d;
    }
    float variance = sum(total);
    for (; i < columns; i++) {
      variance += (row[i] - mean) * (row[i] - mean);
    }
    float factor = 1.0f / sqrtf(variance / (float)columns + epsilon);
    for (i = 0; i < columns; i++) {
      out[i] = (row[i] - mean) * factor * weight[i] + bias[i];
    }
  }
}

static void rms_norm(const float *x, float *y, long rows, long columns, const float *weight,
                     float epsilon) {
  for (long r = 0; r < rows; r++) {
    const float *row = x + r * columns;
    float *out = y + r * columns;
    vf total = (vf)0.0f;
    long i = 0;
    for (; i + W <= columns; i += W) {
      vf v = load(row + i);
      total += v * v;
    }
    float power = sum(total);
    for (; i < columns; i++) {
      power += row[i] * row[i];
    }
    float factor = 1.0f / sqrtf(power / (float)columns + epsilon);
    for (i = 0; i < columns; i++) {
      out[i] = row[i] * factor * weight[i];
    }
  }
}

static void column_moments(const float *x, long rows, long columns, double *restrict sums,
                           double *restrict squares) {
  for (long r = 0; r < rows; r++) {
    const float *row = x + r * columns;
    for (long i = 0; i < columns; i++) {
      double v = row[i];
      sums[i] += v;
      squares[i] += v * v;
    }
  }
}

static void scale_shift(float *restrict x, long rows, long columns, const float *restrict factor,
                        const float *restrict shift) {
  for (long r = 0; r < rows; r++) {
    float *row = x + r * columns;
    for (long i = 0; i < columns; i++) {
      row[i] = row[i] * factor[i] + shift[i];
    }
  }
}

static void widen_bf16(const uint16_t *x, float *y, long count) {
  long i = 0;
  for (; i + W <= count; i += W) {
    store(y + i, widen(x + i));
  }
  for (; i < count; i++) {
    y[i] = widen_one(x[i]);
  }
}

// ---- Products of a few rows: no packing, B is read once ------------------------------------

INLINE vf load_b(const void *b, int type, long index) {
  return type == SA_BFLOAT16 ? widen((const uint16_t *)b + index) : load((const float *)b + index);
}

INLINE float load_b_one(const void *b, int type, long index) {
  return type == SA_BFLOAT16 ? widen_one(((const uint16_t *)b)[index]) : ((const float *)b)[index];
}

INLINE void finish(float *c, float value, float alpha, bool accumulate, const float *bias, long n) {
  value *= alpha;
  if (bias) {
    value += bias[n];
  }
  *c = accumulate ? *c + value : value;
}

/// `outputs` rows of B times one row of A; four running sums per product hide the latency.
INLINE void dot_block(int outputs, long k, const float *a, const void *b, long b_stride, int type,
                      long first, float *result) {
  vf total[4][2];
  for (int o = 0; o < outputs; o++) {
    total[o][0] = (vf)0.0f;
    total[o][1] = (vf)0.0f;
  }
  long p = 0;
  for (; p + 2 * W <= k; p += 2 * W) {
    vf x0 = load(a + p);
    vf x1 = load(a + p + W);
#pragma unroll
    for (int o = 0; o < outputs; o++) {
      total[o][0] += x0 * load_b(b, type, (first + o) * b_stride + p);
      total[o][1] += x1 * load_b(b, type, (first + o) * b_stride + p + W);
    }
  }
  for (int o = 0; o < outputs; o++) {
    float value = sum(total[o][0] + total[o][1]);
    for (long q = p; q < k; q++) {
      value += a[q] * load_b_one(b, type, (first + o) * b_stride + q);
    }
    result[o] = value;
  }
}

INLINE void rows_nk(long m, long n, long k, const float *a, long a_stride, const void *b,
                    long b_stride, int type, float *c, long c_stride, float alpha,
                    bool accumulate, const float *bias) {
  long j = 0;
  for (; j + 4 <= n; j += 4) {
    for (long i = 0; i < m; i++) {
      float value[4];
      dot_block(4, k, a + i * a_stride, b, b_stride, type, j, value);
      for (int o = 0; o < 4; o++) {
        finish(c + i * c_stride + j + o, value[o], alpha, accumulate, bias, j + o);
      }
    }
  }
  for (; j < n; j++) {
    for (long i = 0; i < m; i++) {
      float value[4];
      dot_block(1, k, a + i * a_stride, b, b_stride, type, j, value);
      finish(c + i * c_stride + j, value[0], alpha, accumulate, bias, j);
    }
  }
}

INLINE void rows_kn(long m, long n, long k, const float *a, long a_stride, const void *b,
                    long b_stride, int type, float *c, long c_stride, float alpha,
                    bool accumulate, const float *bias) {
  for (long i = 0; i < m; i++) {
    const float *x = a + i * a_stride;
    float *out = c + i * c_stride;
    long j = 0;
    for (; j + 4 * W <= n; j += 4 * W) {
      vf t0 = (vf)0.0f, t1 = (vf)0.0f, t2 = (vf)0.0f, t3 = (vf)0.0f;
      for (long p = 0; p < k; p++) {
        vf s = (vf)x[p];
        t0 += s * load_b(b, type, p * b_stride + j);
        t1 += s * load_b(b, type, p * b_stride + j + W);
        t2 += s * load_b(b, type, p * b_stride + j + 2 * W);
        t3 += s * load_b(b, type, p * b_stride + j + 3 * W);
      }
      float block[4 * W];
      store(block, t0);
      store(block + W, t1);
      store(block + 2 * W, t2);
      store(block + 3 * W, t3);
      for (int o = 0; o < 4 * W; o++) {
        finish(out + j + o, block[o], alpha, accumulate, bias, j + o);
      }
    }
    for (; j + W <= n; j += W) {
      vf t = (vf)0.0f;
      for (long p = 0; p < k; p++) {
        t += (vf)x[p] * load_b(b, type, p * b_stride + j);
      }
      float block[W];
      store(block, t);
      for (int o = 0; o < W; o++) {
        finish(out + j + o, block[o], alpha, accumulate, bias, j + o);
      }
    }
    for (; j < n; j++) {
      float t = 0;
      for (long p = 0; p < k; p++) {
        t += x[p] * load_b_one(b, type, p * b_stride + j);
      }
      finish(out + j, t, alpha, accumulate, bias, j);
    }
  }
}

// ---- Blocked products with packed panels ---------------------------------------------------

/// Packs A[rows, kc] into panels of MR rows: panel[p * MR + i], zeros below the last row.
INLINE void pack_a(long rows, long kc, const float *a, long a_stride, float *panel) {
  for (long r = 0; r < rows; r += MR) {
    long live = rows - r < MR ? rows - r : MR;
    for (long i = 0; i < live; i++) {
      const float *x = a + (r + i) * a_stride;
      float *out = panel + i;
      for (long p = 0; p < kc; p++) {
        out[p * MR] = x[p];
      }
    }
    for (long i = live; i < MR; i++) {
      for (long p = 0; p < kc; p++) {
        panel[p * MR + i] = 0;
      }
    }
    panel += kc * MR;
  }
}

/// Packs B's outputs first..<first+count over kc inputs into panels of NR: panel[p * NR + j].
INLINE void pack_b(long count, long kc, const void *b, long b_stride, int type, bool is_kn,
                   long first, long k0, float *panel) {
  for (long j = 0; j < count; j += NR) {
    long live = count - j < NR ? count - j : NR;
    if (is_kn) {
      for (long p = 0; p < kc; p++) {
        long index = (k0 + p) * b_stride + first + j;
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
    } else {
      float block[NR][W];
      long p = 0;
      for (; p + W <= kc; p += W) { // transposes NR x W blocks inside the first-level cache
        for (long o = 0; o < NR; o++) {
          vf v = o < live ? load_b(b, type, (first + j + o) * b_stride + k0 + p) : (vf)0.0f;
          store(block[o], v);
        }
        for (long q = 0; q < W; q++) {
          float *out = panel + (p + q) * NR;
#pragma clang loop vectorize(enable)
          for (long o = 0; o < NR; o++) {
            out[o] = block[o][q];
          }
        }
      }
      for (; p < kc; p++) {
        for (long o = 0; o < NR; o++) {
          panel[p * NR + o] =
              o < live ? load_b_one(b, type, (first + j + o) * b_stride + k0 + p) : 0;
        }
      }
    }
    panel += kc * NR;
  }
}

/// One MR x NR tile: tile = A panel * B panel.
INLINE void multiply_tile(long kc, const float *a, const float *b, float *tile) {
  vf t[MR][2];
#pragma unroll
  for (int i = 0; i < MR; i++) {
    t[i][0] = (vf)0.0f;
    t[i][1] = (vf)0.0f;
  }
  for (long p = 0; p < kc; p++) {
    vf b0 = load(b);
    vf b1 = load(b + W);
#pragma unroll
    for (int i = 0; i < MR; i++) {
      vf x = (vf)a[i];
      t[i][0] += x * b0;
      t[i][1] += x * b1;
    }
    a += MR;
    b += NR;
  }
#pragma unroll
  for (int i = 0; i < MR; i++) {
    store(tile + i * NR, t[i][0]);
    store(tile + i * NR + W, t[i][1]);
  }
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
          v += load(bias + half);
        }
        if (accumulate) {
          v += load(out + half);
        }
        store(out + half, v);
      }
    } else {
      for (long j = 0; j < columns; j++) {
        float v = in[j] * alpha + (bias ? bias[j] : 0);
        out[j] = accumulate ? out[j] + v : v;
      }
    }
  }
}

static void gemm(long m, long n, long k, const float *a, long a_stride, const void *b,
                 long b_stride, int b_type, bool b_is_kn, float *c, long c_stride, float alpha,
                 bool accumulate, const float *bias, bool by_rows) {
  const long a_floats = (MC + MR) * KC;
  const long b_floats = (NC + NR) * KC;
  float *scratch =
      by_rows ? NULL : sa_scratch((a_floats + b_floats + MR * NR) * (long)sizeof(float));
  if (scratch == NULL || k == 0) {
    if (b_is_kn) {
      if (b_type == SA_BFLOAT16) {
        rows_kn(m, n, k, a, a_stride, b, b_stride, SA_BFLOAT16, c, c_stride, alpha, accumulate,
                bias);
      } else {
        rows_kn(m, n, k, a, a_stride, b, b_stride, SA_FLOAT32, c, c_stride, alpha, accumulate,
                bias);
      }
    } else if (b_type == SA_BFLOAT16) {
      rows_nk(m, n, k, a, a_stride, b, b_stride, SA_BFLOAT16, c, c_stride, alpha, accumulate,
              bias);
    } else {
      rows_nk(m, n, k, a, a_stride, b, b_stride, SA_FLOAT32, c, c_stride, alpha, accumulate, bias);
    }
    return;
  }
  float *a_panel = scratch;
  float *b_panel = a_panel + a_floats;
  float *tile = b_panel + b_floats;
  for (long j0 = 0; j0 < n; j0 += NC) {
    long nc = n - j0 < NC ? n - j0 : NC;
    for (long k0 = 0; k0 < k; k0 += KC) {
      long kc = k - k0 < KC ? k - k0 : KC;
      bool first = k0 == 0;
      if (b_type == SA_BFLOAT16) {
        pack_b(nc, kc, b, b_stride, SA_BFLOAT16, b_is_kn, j0, k0, b_panel);
      } else {
        pack_b(nc, kc, b, b_stride, SA_FLOAT32, b_is_kn, j0, k0, b_panel);
      }
      for (long i0 = 0; i0 < m; i0 += MC) {
        long mc = m - i0 < MC ? m - i0 : MC;
        pack_a(mc, kc, a + i0 * a_stride + k0, a_stride, a_panel);
        for (long j = 0; j < nc; j += NR) {
          for (long i = 0; i < mc; i += MR) {
            multiply_tile(kc, a_panel + i * kc, b_panel + j * kc, tile);
            write_tile(tile, mc - i < MR ? mc - i : MR, nc - j < NR ? nc - j : NR,
                       c + (i0 + i) * c_stride + j0 + j, c_stride, alpha, accumulate || !first,
                       bias && first ? bias + j0 + j : NULL);
          }
        }
      }
    }
  }
}

const struct sa_table SA_TABLE = {
    .gemm = gemm,
    .apply = apply,
    .snake = snake,
    .silu_product = silu_product,
    .add = add,
    .scale = scale,
    .softmax = softmax,
    .layer_norm = layer_norm,
    .rms_norm = rms_norm,
    .column_moments = column_moments,
    .scale_shift = scale_shift,
    .widen_bf16 = widen_bf16,
};
