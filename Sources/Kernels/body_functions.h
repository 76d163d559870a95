// Exponentials, sines and the activations made of them. Algorithms: exp and sin by argument reduction
// and polynomials; erf by Abramowitz and Stegun 7.1.26 (absolute error 1.5e-7).

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

