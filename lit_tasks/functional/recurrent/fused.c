/* The element-wise part of one LSTM step, forward and backward, in one pass over the rows.
 *
 * The formulas are those of lstm_cell_forward and lstm_cell_backward in lstm.py, which tests hold
 * this file to. Loops are plain so that a compiler turns them into vector instructions.
 */

#include <stdint.h>
#include <string.h>

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

static inline float sigmoid(float x) { return 1.0f / (1.0f + exponential(-x)); }

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

static inline void add(float *restrict sum, const float *restrict term, int64_t size) {
#pragma GCC ivdep
  for (int64_t k = 0; k < size; k++) sum[k] += term[k];
}

/* z: gates before activation but for the bias (or NULL), overwritten by the gates; c: before,
 * c_next and h: after the step. */
void lstm_forward_step(float *restrict z, const float *restrict bias, const float *restrict c,
                       float *restrict c_next, float *restrict h, int64_t rows, int64_t hidden) {
  for (int64_t row = 0; row < rows; row++) {
    float *restrict i = z + row * 4 * hidden, *restrict f = i + hidden;
    float *restrict g = f + hidden, *restrict o = g + hidden;
    const float *restrict before = c + row * hidden;
    float *restrict after = c_next + row * hidden, *restrict out = h + row * hidden;
    if (bias) add(i, bias, 4 * hidden);
#pragma GCC ivdep
    for (int64_t k = 0; k < hidden; k++) {
      const float in = sigmoid(i[k]), forget = sigmoid(f[k]);
      const float cell = hyperbolic_tangent(g[k]), expose = sigmoid(o[k]);
      const float state = forget * before[k] + in * cell;
      i[k] = in;
      f[k] = forget;
      g[k] = cell;
      o[k] = expose;
      after[k] = state;
      out[k] = expose * hyperbolic_tangent(state);
    }
  }
}

/* carry_h: gradient of h from the next step, to which the step's own is added; carry_c: of c,
 * overwritten by that of the previous c; grad_output and grad_cells: the step's own, or NULL. */
void lstm_backward_step(const float *restrict gates, const float *restrict c,
                        const float *restrict c_next, float *restrict carry_h,
                        const float *restrict grad_output, const float *restrict grad_cells,
                        float *restrict carry_c, float *restrict grad_z, int64_t rows,
                        int64_t hidden) {
  for (int64_t row = 0; row < rows; row++) {
    const float *restrict i = gates + row * 4 * hidden, *restrict f = i + hidden;
    const float *restrict g = f + hidden, *restrict o = g + hidden;
    float *restrict z_i = grad_z + row * 4 * hidden, *restrict z_f = z_i + hidden;
    float *restrict z_g = z_f + hidden, *restrict z_o = z_g + hidden;
    const int64_t at = row * hidden;
    const float *restrict before = c + at, *restrict after = c_next + at;
    float *restrict grad_h = carry_h + at, *restrict grad_c = carry_c + at;
    if (grad_output) add(grad_h, grad_output + at, hidden);
    if (grad_cells) add(grad_c, grad_cells + at, hidden);
#pragma GCC ivdep
    for (int64_t k = 0; k < hidden; k++) {
      const float t = hyperbolic_tangent(after[k]);
      const float delta = grad_c[k] + grad_h[k] * o[k] * (1.0f - t * t);
      z_i[k] = delta * g[k] * i[k] * (1.0f - i[k]);
      z_f[k] = delta * before[k] * f[k] * (1.0f - f[k]);
      z_g[k] = delta * i[k] * (1.0f - g[k] * g[k]);
      z_o[k] = grad_h[k] * t * o[k] * (1.0f - o[k]);
      grad_c[k] = delta * f[k];
    }
  }
}
