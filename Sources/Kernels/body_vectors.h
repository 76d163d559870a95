// The vector types of one instruction-set level, and what every kernel does with them: loads, stores,
// bf16, sums over lanes and transposes.

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

#define SHUFFLE(a, b, ...) __builtin_shufflevector(a, b, __VA_ARGS__)

/// Transposes a W x W block that lies in W vectors.
INLINE void transpose(vf *t) {
#if SA_WIDTH == 8
  vf u[8], v[8];
  for (int i = 0; i < 4; i++) {
    u[2 * i] = SHUFFLE(t[2 * i], t[2 * i + 1], 0, 8, 1, 9, 4, 12, 5, 13);
    u[2 * i + 1] = SHUFFLE(t[2 * i], t[2 * i + 1], 2, 10, 3, 11, 6, 14, 7, 15);
  }
  for (int i = 0; i < 8; i += 4) {
    v[i] = SHUFFLE(u[i], u[i + 2], 0, 1, 8, 9, 4, 5, 12, 13);
    v[i + 1] = SHUFFLE(u[i], u[i + 2], 2, 3, 10, 11, 6, 7, 14, 15);
    v[i + 2] = SHUFFLE(u[i + 1], u[i + 3], 0, 1, 8, 9, 4, 5, 12, 13);
    v[i + 3] = SHUFFLE(u[i + 1], u[i + 3], 2, 3, 10, 11, 6, 7, 14, 15);
  }
  for (int i = 0; i < 4; i++) {
    t[i] = SHUFFLE(v[i], v[i + 4], 0, 1, 2, 3, 8, 9, 10, 11);
    t[i + 4] = SHUFFLE(v[i], v[i + 4], 4, 5, 6, 7, 12, 13, 14, 15);
  }
#else
  // log2(W) rounds that interleave the first half of the vectors with the second.
  for (int round = 1; round < W; round *= 2) {
    vf u[W];
    for (int i = 0; i < W / 2; i++) {
#if SA_WIDTH == 4
      u[2 * i] = SHUFFLE(t[i], t[i + 2], 0, 4, 1, 5);
      u[2 * i + 1] = SHUFFLE(t[i], t[i + 2], 2, 6, 3, 7);
#else
      u[2 * i] = SHUFFLE(t[i], t[i + 8], 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
      u[2 * i + 1] =
          SHUFFLE(t[i], t[i + 8], 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
#endif
    }
    for (int i = 0; i < W; i++) {
      t[i] = u[i];
    }
  }
#endif
}
