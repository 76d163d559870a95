// Rounds weights to int8 and int4 blocks, and reads them back. See body_quantised.h for the order.

/// The smallest bf16 that is not below a positive value.
INLINE float round_up_bf16(float value) {
  uint32_t bits;
  memcpy(&bits, &value, sizeof bits);
  bits = (bits + 0xFFFF) & 0xFFFF0000u;
  memcpy(&value, &bits, sizeof value);
  return value;
}

/// The squared error of rounding a block with a scale to whole numbers from `low` to `high`.
INLINE float rounding_error(const float *x, float scale, float low, float high) {
  vf total = (vf)0.0f;
  for (int i = 0; i < SA_BLOCK_INPUTS; i += W) {
    vf v = load(x + i);
    vf q = nearest(v * (vf)(1.0f / scale));
    q = q < (vf)low ? (vf)low : q;
    q = q > (vf)high ? (vf)high : q;
    vf d = v - q * (vf)scale;
    total += d * d;
  }
  return sum(total);
}

/// The scale of a block. For int8 the largest magnitude becomes 127. For int4 the largest may become
/// -8 or 7, or be cut a little: the candidate with the smallest squared error wins.
INLINE float block_scale(const float *x, int bits) {
  float least = 0, most = 0;
  for (int i = 0; i < SA_BLOCK_INPUTS; i++) {
    least = x[i] < least ? x[i] : least;
    most = x[i] > most ? x[i] : most;
  }
  float top = -least > most ? -least : most;
  if (top < 1e-30f) {
    return 0;
  }
  if (bits == 8) {
    return round_up_bf16(top / 127.0f);
  }
  float best = 0, smallest = INFINITY;
  static const float steps[] = {7.0f, 7.5f, 8.0f, 8.6f, 9.3f};
  for (int c = 0; c < 10; c++) {
    // A negative scale turns the block over, so that 8 steps are on the positive side.
    float scale = round_up_bf16(top / steps[c / 2]) * (c % 2 ? -1.0f : 1.0f);
    float error = rounding_error(x, scale, -8, 7);
    if (error < smallest) {
      smallest = error;
      best = scale;
    }
  }
  return best;
}

/// Packs `live` (at most 16) outputs of a row-major matrix into one tile of blocks.
static void quantise_tile(int bits, long live, long k, const void *weights, int type, long stride,
                          uint8_t *blocks) {
  const int offset = bits == 4 ? 8 : 128;
  const float low = bits == 4 ? -8 : -127, high = bits == 4 ? 7 : 127;
  for (long k0 = 0; k0 < k; k0 += SA_BLOCK_INPUTS) {
    long inputs = k - k0 < SA_BLOCK_INPUTS ? k - k0 : SA_BLOCK_INPUTS;
    uint8_t *payload = blocks + 2 * SA_BLOCK_OUTPUTS;
    memset(payload, 0, (size_t)SA_BLOCK_BYTES(bits) - 2 * SA_BLOCK_OUTPUTS);
    for (long o = 0; o < SA_BLOCK_OUTPUTS; o++) {
      float x[SA_BLOCK_INPUTS] = {0};
      for (long i = 0; o < live && i < inputs; i++) {
        x[i] = load_b_one(weights, type, o * stride + k0 + i);
      }
      float scale = block_scale(x, bits);
      uint32_t pattern;
      memcpy(&pattern, &scale, sizeof pattern);
      uint16_t narrow = (uint16_t)(pattern >> 16);
      memcpy(blocks + 2 * o, &narrow, sizeof narrow);
      float inverse = scale != 0 ? 1.0f / scale : 0;
      for (long i = 0; i < SA_BLOCK_INPUTS; i++) {
        float q = rintf(x[i] * inverse);
        q = q < low ? low : q > high ? high : q;
        sa_put_weight(bits, payload, o, i, (int)q + offset);
      }
    }
    blocks += SA_BLOCK_BYTES(bits);
  }
}

/// One output of a tile as fp32.
static void dequantise_row(int bits, long k, const uint8_t *blocks, long output, float *x) {
  const int offset = bits == 4 ? 8 : 128;
  for (long k0 = 0; k0 < k; k0 += SA_BLOCK_INPUTS) {
    uint16_t narrow;
    memcpy(&narrow, blocks + 2 * output, sizeof narrow);
    float scale = widen_one(narrow);
    for (long i = 0; i < SA_BLOCK_INPUTS && k0 + i < k; i++) {
      int q = sa_get_weight(bits, blocks + 2 * SA_BLOCK_OUTPUTS, output, i) - offset;
      x[k0 + i] = (float)q * scale;
    }
    blocks += SA_BLOCK_BYTES(bits);
  }
}
