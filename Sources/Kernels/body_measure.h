// Loops that find a machine's limits: how fast memory is read, and how fast a core multiplies when
// nothing has to be loaded.

/// Reads `bytes` (a multiple of 256) in order; the result keeps the reads from being dropped.
static uint32_t read_all(const void *p, long bytes) {
  const float *x = p;
  vu t[4] = {(vu)0, (vu)0, (vu)0, (vu)0};
  for (long i = 0; i < bytes / 4; i += 4 * W) {
    __builtin_prefetch(x + i + 1024, 0, 3);
#pragma unroll
    for (int v = 0; v < 4; v++) {
      vu word;
      memcpy(&word, x + i + v * W, sizeof word);
      t[v] ^= word;
    }
  }
  vu all = t[0] ^ t[1] ^ t[2] ^ t[3];
  uint32_t result = 0;
  for (int i = 0; i < W; i++) {
    result ^= all[i];
  }
  return result;
}

/// `count` rounds of 12 fused multiply-adds on vectors; gives the number of operations.
static long multiply_fp32(long count) {
  vf t[12];
  vf x = (vf)1.0000001f, y = (vf)1e-9f;
  for (int i = 0; i < 12; i++) {
    t[i] = (vf)(float)i;
  }
  for (long c = 0; c < count; c++) {
#pragma unroll
    for (int i = 0; i < 12; i++) {
      t[i] = t[i] * x + y;
    }
    __asm__ volatile("" ::: "memory");
  }
  float keep = 0;
  for (int i = 0; i < 12; i++) {
    keep += sum(t[i]);
  }
  return keep == 0.12345f ? 0 : count * 12 * W * 2;
}

/// `count` rounds of 14 byte products with 16-bit sums, as int4 weights need them; gives the number of
/// operations.
static long multiply_int4(long count) {
  vs t[14];
  vb x = (vb)3;
  for (int i = 0; i < 14; i++) {
    t[i] = (vs)(short)i;
  }
  for (long c = 0; c < count; c++) {
#pragma unroll
    for (int i = 0; i < 14; i++) {
      t[i] += pair_products(x, (vb)t[i]);
    }
    __asm__ volatile("" ::: "memory");
  }
  int keep = 0;
  for (int i = 0; i < 14; i++) {
    keep += t[i][0];
  }
  return keep == 12345 ? 0 : count * 14 * 4 * W * 2;
}

/// The same for int8 weights, whose pairs fill 16 bits and are summed in 32.
static long multiply_int8(long count) {
  vi t[12];
  vb x = (vb)3;
  for (int i = 0; i < 12; i++) {
    t[i] = (vi)i;
  }
  for (long c = 0; c < count; c++) {
#pragma unroll
    for (int i = 0; i < 12; i++) {
      t[i] += pair_sums(pair_products(x, turned(x, (vb)t[i])));
    }
    __asm__ volatile("" ::: "memory");
  }
  int keep = 0;
  for (int i = 0; i < 12; i++) {
    keep += t[i][0];
  }
  return keep == 12345 ? 0 : count * 12 * 4 * W * 2;
}
