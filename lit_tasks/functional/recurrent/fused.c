/* The time loop of RNN, LSTM and GRU, forward and backward, over sequences in packed order.
 *
 * The formulas are those of rnn.py, lstm.py and gru.py beside this file, which tests hold it to;
 * numbers like eq. (32) are those of docs/derivations.md. Matrices are row-major. Products are
 * those of the BLAS that torch brings (see set_gemm); loops are plain so that a compiler turns them
 * into vector instructions. With -DDOUBLE the same in double precision.
 */

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

typedef int64_t number; /* of which a BLAS with 32-bit numbers reads the lower half */
typedef void (*gemm_type)(const char *, const char *, const number *, const number *, const number *,
                          const real *, const real *, const number *, const real *, const number *,
                          const real *, real *, const number *);
static gemm_type gemm;

/* Say where BLAS's sgemm (dgemm) is, with Fortran's calling convention. */
void set_gemm(gemm_type found) { gemm = found; }

/* c = beta * c + a b ('N') or a b^T ('T'): c has rows * cols numbers, the sum runs over depth;
 * strides are from row to row. Fortran's matrices are by columns: for it, all are transposed. */
static void multiply(char b_is, int64_t rows, int64_t cols, int64_t depth, const real *a,
                     int64_t stride_a, const real *b, int64_t stride_b, real beta, real *c,
                     int64_t stride_c) {
  if (!rows || !cols) return;
  const number of_a = stride_a > 1 ? stride_a : 1, of_b = stride_b > 1 ? stride_b : 1;
  const real one = 1;
  gemm(&b_is, "N", &cols, &rows, &depth, &one, b, &of_b, a, &of_a, &beta, c, &stride_c);
}

/* c = beta * c + a^T b: the sum over depth rows of outer products, the gradient of a weight. */
static void add_outer(int64_t rows, int64_t cols, int64_t depth, const real *a, int64_t stride_a,
                      const real *b, real beta, real *c) {
  if (!rows || !cols) return;
  const real one = 1;
  gemm("N", "T", &cols, &rows, &depth, &one, b, &cols, a, &stride_a, &beta, c, &cols);
}

static inline void add(real *restrict sum, const real *restrict term, int64_t size) {
#pragma GCC ivdep
  for (int64_t k = 0; k < size; k++) sum[k] += term[k];
}

static void add_rows(real *sum, const real *terms, int64_t rows, int64_t size, int64_t stride) {
  for (int64_t row = 0; row < rows; row++) add(sum, terms + row * stride, size);
}

static void copy(real *to, const real *from, int64_t numbers) {
  if (to && numbers) memcpy(to, from, (size_t)numbers * sizeof(real));
}

/* Sequences in packed order: sizes[t] of them have step t; see packing.py. */
typedef struct {
  const int64_t *sizes;
  int64_t steps, rows, sequences, inputs, hidden, block;
} batch;

/* Tell whether sizes describe the rows: what is not checked would be read beyond its end. */
static int fits(const batch *b) {
  int64_t sum = 0, before = b->sequences;
  for (int64_t t = 0; t < b->steps; t++) {
    if (b->sizes[t] < 0 || b->sizes[t] > before) return 0;
    before = b->sizes[t];
    sum += before;
  }
  return sum == b->rows;
}

/* Some steps on end, enough rows that a product is worth its while: [first, stop) are the steps,
 * start is the first row, total the number of rows. */
typedef struct {
  int64_t first, stop, start, total;
} block;

static block block_after(const batch *b, block last) {
  block next = {last.stop, last.stop, last.start + last.total, 0};
  while (next.stop < b->steps && next.total < b->block) next.total += b->sizes[next.stop++];
  return next;
}

static block block_before(const batch *b, block last) {
  block next = {last.first, last.first, last.start, 0};
  while (next.first > 0 && next.total < b->block) next.total += b->sizes[--next.first];
  next.start -= next.total;
  return next;
}

/* The states before a step whose rows begin at row `at`. */
static const real *states_before(const batch *b, int64_t step, int64_t at, const real *states,
                                 const real *initial) {
  return step ? states + (at - b->sizes[step - 1]) * b->hidden : initial;
}

/* Sequences from `size` on have ended: their states are final. */
static void keep_ended(const batch *b, int64_t size, int64_t before, const real *states,
                       real *ends) {
  if (size < before) copy(ends + size * b->hidden, states + size * b->hidden,
                          (before - size) * b->hidden);
}

/* z: gates before activation but for the bias (or NULL), overwritten by the gates; c: before,
 * c_next and h: after the step. */
void lstm_forward_step(real *restrict z, const real *restrict bias, const real *restrict c,
                       real *restrict c_next, real *restrict h, int64_t rows, int64_t hidden) {
  for (int64_t row = 0; row < rows; row++) {
    real *restrict i = z + row * 4 * hidden, *restrict f = i + hidden;
    real *restrict g = f + hidden, *restrict o = g + hidden;
    const real *restrict before = c + row * hidden;
    real *restrict after = c_next + row * hidden, *restrict out = h + row * hidden;
    if (bias) add(i, bias, 4 * hidden);
#pragma GCC ivdep
    for (int64_t k = 0; k < hidden; k++) {
      const real in = sigmoid(i[k]), forget = sigmoid(f[k]);
      const real cell = hyperbolic_tangent(g[k]), expose = sigmoid(o[k]);
      const real state = forget * before[k] + in * cell;
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
void lstm_backward_step(const real *restrict gates, const real *restrict c,
                        const real *restrict c_next, real *restrict carry_h,
                        const real *restrict grad_output, const real *restrict grad_cells,
                        real *restrict carry_c, real *restrict grad_z, int64_t rows,
                        int64_t hidden) {
  for (int64_t row = 0; row < rows; row++) {
    const real *restrict i = gates + row * 4 * hidden, *restrict f = i + hidden;
    const real *restrict g = f + hidden, *restrict o = g + hidden;
    real *restrict z_i = grad_z + row * 4 * hidden, *restrict z_f = z_i + hidden;
    real *restrict z_g = z_f + hidden, *restrict z_o = z_g + hidden;
    const int64_t at = row * hidden;
    const real *restrict before = c + at, *restrict after = c_next + at;
    real *restrict grad_h = carry_h + at, *restrict grad_c = carry_c + at;
    if (grad_output) add(grad_h, grad_output + at, hidden);
    if (grad_cells) add(grad_c, grad_cells + at, hidden);
#pragma GCC ivdep
    for (int64_t k = 0; k < hidden; k++) {
      const real t = hyperbolic_tangent(after[k]);
      const real delta = grad_c[k] + grad_h[k] * o[k] * ((real)1 - t * t);
      z_i[k] = delta * g[k] * i[k] * ((real)1 - i[k]);
      z_f[k] = delta * before[k] * f[k] * ((real)1 - f[k]);
      z_g[k] = delta * i[k] * ((real)1 - g[k] * g[k]);
      z_o[k] = grad_h[k] * t * o[k] * ((real)1 - o[k]);
      grad_c[k] = delta * f[k];
    }
  }
}

/* Write all states, and the gates if `keep`; else `gates` has room for one block. */
int lstm_forward(const batch *b, int keep, const real *x, const real *h0, const real *c0,
                 const real *w_ih, const real *w_hh, const real *bias, real *output, real *cells,
                 real *gates, real *h_n, real *c_n) {
  if (!fits(b)) return 1;
  const int64_t hidden = b->hidden, wide = 4 * hidden;
  const real *h = h0, *c = c0;
  int64_t before = b->sequences, at = 0;
  for (block part = block_after(b, (block){0}); part.total; part = block_after(b, part)) {
    real *z = keep ? gates + at * wide : gates;
    multiply('T', part.total, wide, b->inputs, x + at * b->inputs, b->inputs, w_ih, b->inputs, 0,
             z, wide);
    for (int64_t step = part.first; step < part.stop; step++) {
      const int64_t size = b->sizes[step];
      keep_ended(b, size, before, h, h_n);
      keep_ended(b, size, before, c, c_n);
      multiply('T', size, wide, hidden, h, hidden, w_hh, hidden, 1, z, wide);
      lstm_forward_step(z, bias, c, cells + at * hidden, output + at * hidden, size, hidden);
      h = output + at * hidden;
      c = cells + at * hidden;
      z += size * wide;
      at += size;
      before = size;
    }
  }
  copy(h_n, h, before * hidden);
  copy(c_n, c, before * hidden);
  return 0;
}

/* grad_h and grad_c: gradients of the final states, overwritten by those of the initial ones;
 * grad_z and h_before: room for one block; grad_output, grad_cells and grad_x may be NULL. */
int lstm_backward(const batch *b, const real *x, const real *h0, const real *c0, const real *w_ih,
                  const real *w_hh, const real *output, const real *cells, const real *gates,
                  const real *grad_output, const real *grad_cells, real *grad_h, real *grad_c,
                  real *grad_x, real *grad_w_ih, real *grad_w_hh, real *grad_bias, real *grad_z,
                  real *h_before) {
  if (!fits(b)) return 1;
  const int64_t hidden = b->hidden, wide = 4 * hidden, inputs = b->inputs;
  const block end = {b->steps, b->steps, b->rows, 0};
  for (block part = block_before(b, end); part.total; part = block_before(b, part)) {
    int64_t at = part.start + part.total;
    for (int64_t step = part.stop - 1; step >= part.first; step--) {
      const int64_t size = b->sizes[step];
      at -= size;
      real *z = grad_z + (at - part.start) * wide;
      lstm_backward_step(gates + at * wide, states_before(b, step, at, cells, c0),
                         cells + at * hidden, grad_h,
                         grad_output ? grad_output + at * hidden : NULL,
                         grad_cells ? grad_cells + at * hidden : NULL, grad_c, z, size, hidden);
      multiply('N', size, hidden, wide, z, wide, w_hh, hidden, 0, grad_h, hidden); /* eq. (32) */
      copy(h_before + (at - part.start) * hidden, states_before(b, step, at, output, h0),
           size * hidden);
    }
    if (grad_x)
      multiply('N', part.total, inputs, wide, grad_z, wide, w_ih, inputs, 0,
               grad_x + at * inputs, inputs);
    add_outer(wide, inputs, part.total, grad_z, wide, x + at * inputs, 1, grad_w_ih);
    add_outer(wide, hidden, part.total, grad_z, wide, h_before, 1, grad_w_hh);
    add_rows(grad_bias, grad_z, part.total, wide, wide);
  }
  return 0;
}

/* z: sums before activation but for the bias (or NULL), overwritten by the states. */
static void rnn_forward_step(real *restrict z, const real *restrict bias, int relu, int64_t rows,
                             int64_t hidden) {
  for (int64_t row = 0; row < rows; row++) {
    real *restrict h = z + row * hidden;
    if (bias) add(h, bias, hidden);
    if (relu) {
#pragma GCC ivdep
      for (int64_t k = 0; k < hidden; k++) h[k] = h[k] < 0 ? 0 : h[k];
    } else {
#pragma GCC ivdep
      for (int64_t k = 0; k < hidden; k++) h[k] = hyperbolic_tangent(h[k]);
    }
  }
}

static void rnn_backward_step(const real *restrict states, const real *restrict carry,
                              const real *restrict grad_output, int relu, real *restrict grad_z,
                              int64_t numbers) {
#pragma GCC ivdep
  for (int64_t k = 0; k < numbers; k++) {
    const real h = states[k], whole = grad_output ? carry[k] + grad_output[k] : carry[k];
    grad_z[k] = relu ? (h > 0 ? whole : 0) : whole * ((real)1 - h * h);
  }
}

int rnn_forward(const batch *b, int relu, const real *x, const real *h0, const real *w_ih,
                const real *w_hh, const real *bias, real *output, real *h_n) {
  if (!fits(b)) return 1;
  const int64_t hidden = b->hidden;
  const real *h = h0;
  int64_t before = b->sequences, at = 0;
  for (block part = block_after(b, (block){0}); part.total; part = block_after(b, part)) {
    multiply('T', part.total, hidden, b->inputs, x + at * b->inputs, b->inputs, w_ih, b->inputs,
             0, output + at * hidden, hidden);
    for (int64_t step = part.first; step < part.stop; step++) {
      const int64_t size = b->sizes[step];
      real *z = output + at * hidden;
      keep_ended(b, size, before, h, h_n);
      multiply('T', size, hidden, hidden, h, hidden, w_hh, hidden, 1, z, hidden);
      rnn_forward_step(z, bias, relu, size, hidden);
      h = z;
      at += size;
      before = size;
    }
  }
  copy(h_n, h, before * hidden);
  return 0;
}

int rnn_backward(const batch *b, int relu, const real *x, const real *h0, const real *w_ih,
                 const real *w_hh, const real *output, const real *grad_output, real *grad_h,
                 real *grad_x, real *grad_w_ih, real *grad_w_hh, real *grad_bias, real *grad_z,
                 real *h_before) {
  if (!fits(b)) return 1;
  const int64_t hidden = b->hidden, inputs = b->inputs;
  const block end = {b->steps, b->steps, b->rows, 0};
  for (block part = block_before(b, end); part.total; part = block_before(b, part)) {
    int64_t at = part.start + part.total;
    for (int64_t step = part.stop - 1; step >= part.first; step--) {
      const int64_t size = b->sizes[step];
      at -= size;
      real *z = grad_z + (at - part.start) * hidden;
      rnn_backward_step(output + at * hidden, grad_h,
                        grad_output ? grad_output + at * hidden : NULL, relu, z, size * hidden);
      multiply('N', size, hidden, hidden, z, hidden, w_hh, hidden, 0, grad_h, hidden);
      copy(h_before + (at - part.start) * hidden, states_before(b, step, at, output, h0),
           size * hidden);
    }
    if (grad_x)
      multiply('N', part.total, inputs, hidden, grad_z, hidden, w_ih, inputs, 0,
               grad_x + at * inputs, inputs);
    add_outer(hidden, inputs, part.total, grad_z, hidden, x + at * inputs, 1, grad_w_ih);
    add_outer(hidden, hidden, part.total, grad_z, hidden, h_before, 1, grad_w_hh);
    add_rows(grad_bias, grad_z, part.total, hidden, hidden);
  }
  return 0;
}

/* gates: rows of four: the input's sums of reset, update and new state, overwritten by these
 * gates, and a place for the state's part of the third, m; s: the state's three sums. */
static void gru_forward_step(real *restrict gates, const real *restrict s,
                             const real *restrict b_ih, const real *restrict b_hh,
                             const real *restrict h, real *restrict h_next, int64_t rows,
                             int64_t hidden) {
  for (int64_t row = 0; row < rows; row++) {
    real *restrict r = gates + row * 4 * hidden, *restrict z = r + hidden;
    real *restrict n = z + hidden, *restrict m = n + hidden;
    const real *restrict s_r = s + row * 3 * hidden, *restrict s_z = s_r + hidden;
    const real *restrict s_n = s_z + hidden, *restrict before = h + row * hidden;
    real *restrict after = h_next + row * hidden;
    copy(m, s_n, hidden);
    if (b_ih) add(r, b_ih, 3 * hidden);
    if (b_hh) add(r, b_hh, 2 * hidden), add(m, b_hh + 2 * hidden, hidden);
#pragma GCC ivdep
    for (int64_t k = 0; k < hidden; k++) {
      const real reset = sigmoid(r[k] + s_r[k]), update = sigmoid(z[k] + s_z[k]);
      const real fresh = hyperbolic_tangent(n[k] + reset * m[k]);
      r[k] = reset;
      z[k] = update;
      n[k] = fresh;
      after[k] = fresh + update * (before[k] - fresh);
    }
  }
}

/* grad_z: rows of four: the gradients of the new state's sum, of reset and update, and of m.
 * carry: gradient of the state after the step, overwritten by its direct part before it. */
static void gru_backward_step(const real *restrict gates, const real *restrict h,
                              real *restrict carry, const real *restrict grad_output,
                              real *restrict grad_z, int64_t rows, int64_t hidden) {
  for (int64_t row = 0; row < rows; row++) {
    const real *restrict r = gates + row * 4 * hidden, *restrict z = r + hidden;
    const real *restrict n = z + hidden, *restrict m = n + hidden;
    real *restrict of_n = grad_z + row * 4 * hidden, *restrict of_r = of_n + hidden;
    real *restrict of_z = of_r + hidden, *restrict of_m = of_z + hidden;
    const real *restrict before = h + row * hidden;
    real *restrict grad_h = carry + row * hidden;
    if (grad_output) add(grad_h, grad_output + row * hidden, hidden);
#pragma GCC ivdep
    for (int64_t k = 0; k < hidden; k++) {
      const real whole = grad_h[k];
      const real fresh = whole * ((real)1 - z[k]) * ((real)1 - n[k] * n[k]);
      of_n[k] = fresh;
      of_r[k] = fresh * m[k] * r[k] * ((real)1 - r[k]);
      of_z[k] = whole * (before[k] - n[k]) * z[k] * ((real)1 - z[k]);
      of_m[k] = fresh * r[k];
      grad_h[k] = whole * z[k];
    }
  }
}

/* sums: room for 3 * hidden numbers of each sequence. */
int gru_forward(const batch *b, int keep, const real *x, const real *h0, const real *w_ih,
                const real *w_hh, const real *b_ih, const real *b_hh, real *output, real *gates,
                real *h_n, real *sums) {
  if (!fits(b)) return 1;
  const int64_t hidden = b->hidden, wide = 4 * hidden;
  const real *h = h0;
  int64_t before = b->sequences, at = 0;
  for (block part = block_after(b, (block){0}); part.total; part = block_after(b, part)) {
    real *z = keep ? gates + at * wide : gates;
    multiply('T', part.total, 3 * hidden, b->inputs, x + at * b->inputs, b->inputs, w_ih,
             b->inputs, 0, z, wide);
    for (int64_t step = part.first; step < part.stop; step++) {
      const int64_t size = b->sizes[step];
      keep_ended(b, size, before, h, h_n);
      multiply('T', size, 3 * hidden, hidden, h, hidden, w_hh, hidden, 0, sums, 3 * hidden);
      gru_forward_step(z, sums, b_ih, b_hh, h, output + at * hidden, size, hidden);
      h = output + at * hidden;
      z += size * wide;
      at += size;
      before = size;
    }
  }
  copy(h_n, h, before * hidden);
  return 0;
}

int gru_backward(const batch *b, const real *x, const real *h0, const real *w_ih,
                 const real *w_hh, const real *output, const real *gates, const real *grad_output,
                 real *grad_h, real *grad_x, real *grad_w_ih, real *grad_w_hh, real *grad_b_ih,
                 real *grad_b_hh, real *grad_z, real *h_before) {
  if (!fits(b)) return 1;
  const int64_t hidden = b->hidden, wide = 4 * hidden, inputs = b->inputs;
  const int64_t two = 2 * hidden;
  const block end = {b->steps, b->steps, b->rows, 0};
  for (block part = block_before(b, end); part.total; part = block_before(b, part)) {
    int64_t at = part.start + part.total;
    for (int64_t step = part.stop - 1; step >= part.first; step--) {
      const int64_t size = b->sizes[step];
      at -= size;
      real *z = grad_z + (at - part.start) * wide;
      gru_backward_step(gates + at * wide, states_before(b, step, at, output, h0), grad_h,
                        grad_output ? grad_output + at * hidden : NULL, z, size, hidden);
      multiply('N', size, hidden, 3 * hidden, z + hidden, wide, w_hh, hidden, 1, grad_h, hidden);
      copy(h_before + (at - part.start) * hidden, states_before(b, step, at, output, h0),
           size * hidden);
    }
    const real *of_n = grad_z, *of_s = grad_z + hidden;
    if (grad_x) {
      real *to = grad_x + at * inputs;
      multiply('N', part.total, inputs, two, of_s, wide, w_ih, inputs, 0, to, inputs);
      multiply('N', part.total, inputs, hidden, of_n, wide, w_ih + two * inputs, inputs, 1, to,
               inputs);
    }
    add_outer(two, inputs, part.total, of_s, wide, x + at * inputs, 1, grad_w_ih);
    add_outer(hidden, inputs, part.total, of_n, wide, x + at * inputs, 1,
              grad_w_ih + two * inputs);
    add_outer(3 * hidden, hidden, part.total, of_s, wide, h_before, 1, grad_w_hh);
    add_rows(grad_b_ih, of_s, part.total, two, wide);
    add_rows(grad_b_ih + two, of_n, part.total, hidden, wide);
    add_rows(grad_b_hh, of_s, part.total, 3 * hidden, wide);
  }
  return 0;
}
