// Element-wise sums, Snake, softmax and norms, row by row.

/// `inverse` is 1 / (alpha + 1e-9).
INLINE vf snake_of(vf x, vf alpha, vf inverse) { return x + sine_squared(alpha * x) * inverse; }

INLINE vf snake_inverse(vf alpha) { return (vf)1.0f / (alpha + (vf)1e-9f); }

static void snake(float *x, long rows, long columns, const float *alpha) {
  for (long i = 0; i < columns; i += W) { // column by column: one division a column
    const long live = columns - i;
    vf a = live >= W ? load(alpha + i) : load_part(alpha + i, live, 1);
    vf inverse = snake_inverse(a);
    for (long r = 0; r < rows; r++) {
      float *p = x + r * columns + i;
      if (live >= W) {
        store(p, snake_of(load(p), a, inverse));
      } else {
        store_part(p, snake_of(load_part(p, live, 0), a, inverse), live);
      }
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

/// The largest of `count` values; -infinity when there are none.
INLINE float largest_of(const float *x, long count) {
  vf largest[2] = {(vf)-INFINITY, (vf)-INFINITY};
  long i = 0;
  for (; i + 2 * W <= count; i += 2 * W) {
    vf a = load(x + i), b = load(x + i + W);
    largest[0] = a > largest[0] ? a : largest[0];
    largest[1] = b > largest[1] ? b : largest[1];
  }
  for (; i < count; i += W) {
    vf v = count - i >= W ? load(x + i) : load_part(x + i, count - i, -INFINITY);
    largest[0] = v > largest[0] ? v : largest[0];
  }
  return maximum(largest[0] > largest[1] ? largest[0] : largest[1]);
}

static void exponentials(float *x, long rows, long columns, long stride, float factor,
                         float *inverses) {
  for (long r = 0; r < rows; r++) {
    float *row = x + r * stride;
    const vf top = (vf)largest_of(row, columns);
    vf total = (vf)0.0f;
    long i = 0;
    for (; i < columns; i += W) {
      const long live = columns - i;
      vf v = live >= W ? load(row + i) : load_part(row + i, live, -INFINITY);
      vf e = exponential((v - top) * (vf)factor);
      e = v == (vf)-INFINITY ? (vf)0.0f : e;
      total += e;
      if (live >= W) {
        store(row + i, e);
      } else {
        store_part(row + i, e, live);
      }
    }
    const float norm = sum(total);
    inverses[r] = norm > 0 ? 1.0f / norm : 0.0f;
  }
}

static void softmax(float *x, long rows, long columns, long stride) {
  for (long r = 0; r < rows; r++) {
    float inverse;
    exponentials(x + r * stride, 1, columns, stride, 1, &inverse);
    scale(x + r * stride, inverse, columns);
  }
}

static void scale_shift_mish(float *x, long rows, long columns, long stride, const float *factor,
                             const float *shift, const float *offset) {
  for (long i = 0; i < columns; i += W) { // column by column: the factors stay in registers
    const long live = columns - i;
    const bool whole = live >= W;
    vf a = whole ? load(factor + i) : load_part(factor + i, live, 0);
    vf b = whole ? load(shift + i) : load_part(shift + i, live, 0);
    vf c = !offset ? (vf)0.0f : whole ? load(offset + i) : load_part(offset + i, live, 0);
    for (long r = 0; r < rows; r++) {
      float *p = x + r * stride + i;
      vf v = whole ? load(p) : load_part(p, live, 0);
      v = evaluate(SA_MISH, v * a + b, 0) + c;
      if (whole) {
        store(p, v);
      } else {
        store_part(p, v, live);
      }
    }
  }
}

static void layer_norm(const float *x, long stride, float *y, long rows, long columns,
                       const float *weight, const float *bias, float epsilon) {
  for (long r = 0; r < rows; r++) {
    const float *row = x + r * stride;
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
