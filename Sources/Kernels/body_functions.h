// Exponentials, sines and the activations made of them. Algorithms: argument reduction and polynomials,
// fitted to the least largest error.

/// Rounds to the nearest integer; |x| < 2^22.
INLINE vf nearest(vf x) {
  const vf magic = (vf)12582912.0f; // 1.5 * 2^23
  return (x + magic) - magic;
}

/// The bits of a float as a whole number.
INLINE vi bits_of(vf x) {
  vi bits;
  memcpy(&bits, &x, sizeof bits);
  return bits;
}

INLINE vf exponential(vf x) {
  const vf magic = (vf)12582912.0f; // 1.5 * 2^23: leaves the nearest integer in the low bits
  x = x < (vf)-87.33f ? (vf)-87.33f : x;
  x = x > (vf)88.37f ? (vf)88.37f : x;
  vf shifted = x * (vf)1.44269504f + magic;
  vf n = shifted - magic;
  vf r = x - n * (vf)0.693359375f;
  r = r - n * (vf)-2.12194440e-4f;
  vf square = r * r;
  vf low = (vf)1.6666665459e-1f * r + (vf)5.0000001201e-1f;
  vf middle = (vf)8.3334519073e-3f * r + (vf)4.1665795894e-2f;
  vf high = (vf)1.9875691500e-4f * r + (vf)1.3981999507e-3f;
  vf p = (high * square + middle) * square + low;
  p = p * square + (r + (vf)1.0f);
  vi power = (bits_of(shifted) + 127) << 23;
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
  vf s = r * r, s2 = s * s;
  vf p = ((vf)7.986774449e-8f * s2 + ((vf)-4.221625798e-6f * s + (vf)1.409854639e-4f)) * s2 +
         ((vf)-3.174484168e-3f * s + (vf)4.444437461e-2f);
  return (p * s2 + ((vf)-3.333333141e-1f * s + (vf)9.999999983e-1f)) * s;
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

/// erf(x / sqrt(2)) / 2, absolute error 1.1e-7: x times a polynomial of degree 15 in x^2, fitted on
/// |x| <= 5.3 (beyond, the function is 1/2 to within 6e-8). Evaluated in pairs (Estrin): short chains.
INLINE vf half_error_function(vf x) {
  x = x < (vf)-5.3f ? (vf)-5.3f : x;
  x = x > (vf)5.3f ? (vf)5.3f : x;
  vf v = x * x * (vf)(2.0f / (5.3f * 5.3f)) - (vf)1.0f;
  vf v2 = v * v, v4 = v2 * v2;
  vf a = ((vf)-6.651844084e-2f * v + (vf)1.333925575e-1f) +
         ((vf)-3.959164396e-2f * v + (vf)4.926448688e-2f) * v2;
  vf b = ((vf)-2.526667155e-2f * v + (vf)3.207368404e-2f) +
         ((vf)-1.334727742e-2f * v + (vf)1.896477863e-2f) * v2;
  vf c = ((vf)-5.426645745e-3f * v + (vf)8.705644868e-3f) +
         ((vf)-1.685469644e-3f * v + (vf)3.331164131e-3f) * v2;
  vf d = ((vf)-3.475842241e-4f * v + (vf)5.773261655e-4f) +
         ((vf)-1.175945508e-4f * v + (vf)3.312883782e-4f) * v2;
  return x * ((d * v4 + c) * (v4 * v4) + (b * v4 + a));
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
    return x * ((vf)0.5f + half_error_function(x));
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

