// Element-wise sums, Snake, softmax and norms, row by row.

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
