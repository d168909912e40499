/* Exponential function, hyperbolic tangent and sigmoid as loops of vector instructions can have them:
 * without branches, tables or calls. `real` is float, or with -DDOUBLE double. */

#include <stdint.h>
#include <string.h>

#ifdef DOUBLE
typedef double real;

/* e^x to about 1 unit in the last place (coefficients: Cephes, Moshier 1992); NaN stays NaN. */
static inline real exponential(real x) {
  x = x > 710.0 ? 710.0 : x;
  x = x < -708.0 ? -708.0 : x;
  const double n = __builtin_rint(x * 1.4426950408889634073599);
  double r = x - n * 6.93145751953125e-1;
  r = r - n * 1.42860682030941723212e-6;
  const double s = r * r;
  double p = 1.26177193074810590878e-4;
  p = p * s + 3.02994407707441961300e-2;
  p = (p * s + 9.99999999999999999910e-1) * r;
  double q = 3.00198505138664455042e-6;
  q = q * s + 2.52448340349684104192e-3;
  q = q * s + 2.27265548208155028766e-1;
  q = q * s + 2.0;
  /* twice half the power of 2: that of 1024 alone would not be a number */
  const double half = __builtin_rint(n * 0.5), other = n - half;
  const double shifted = half + 6755399441055744.0, shifted_other = other + 6755399441055744.0;
  int64_t bits, bits_other;
  memcpy(&bits, &shifted, sizeof bits);
  memcpy(&bits_other, &shifted_other, sizeof bits_other);
  bits = (int64_t)((uint64_t)(bits + 1023) << 52);
  bits_other = (int64_t)((uint64_t)(bits_other + 1023) << 52);
  double scale, scale_other;
  memcpy(&scale, &bits, sizeof scale);
  memcpy(&scale_other, &bits_other, sizeof scale_other);
  return (1.0 + 2.0 * p / (q - p)) * scale * scale_other;
}

/* Near 0 the quotient would lose digits, so a rational function takes over (Cephes). */
static inline real hyperbolic_tangent(real x) {
  const double size = __builtin_fabs(x);
  const double e = exponential(-2.0 * size);
  const double far = __builtin_copysign((1.0 - e) / (1.0 + e), x);
  const double z = x * x;
  double p = -9.64399179425052238628e-1;
  p = p * z - 9.92877231001918586564e1;
  p = p * z - 1.61468768441708447952e3;
  double q = z + 1.12811678491632931402e2;
  q = q * z + 2.23548839060100448583e3;
  q = q * z + 4.84406305325125486048e3;
  const double near = x + x * z * (p / q);
  return size < 0.625 ? near : far;
}
#else
typedef float real;

/* e^x to about 1 unit in the last place (coefficients: Cephes, Moshier 1992); NaN stays NaN, and
 * from 88.4 on it is infinite, which makes the sigmoid 0 there. */
static inline float exponential(float x) {
  x = x > 89.0f ? 89.0f : x;
  x = x < -87.0f ? -87.0f : x;
  const float n = __builtin_rintf(x * 1.44269504088896341f);
  float r = x - n * 0.693359375f;
  r = r + n * 2.12194440e-4f;
  float p = 1.9875691500e-4f;
  p = p * r + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  const float y = p * r * r + r + 1.0f;
  const int32_t bits = ((int32_t)n + 127) << 23;
  float scale;
  memcpy(&scale, &bits, sizeof scale);
  return y * scale;
}

/* Near 0 the quotient would lose digits, so a polynomial takes over (Cephes). */
static inline float hyperbolic_tangent(float x) {
  const float size = __builtin_fabsf(x);
  const float e = exponential(-2.0f * size);
  const float far = __builtin_copysignf((1.0f - e) / (1.0f + e), x);
  const float z = x * x;
  float p = -5.70498872745e-3f;
  p = p * z + 2.06390887954e-2f;
  p = p * z - 5.37397155531e-2f;
  p = p * z + 1.33314422036e-1f;
  p = p * z - 3.33332819422e-1f;
  const float near = p * z * x + x;
  return size < 0.625f ? near : far;
}

#endif

static inline real sigmoid(real x) { return (real)1 / ((real)1 + exponential(-x)); }
