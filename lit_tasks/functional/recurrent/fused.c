/* The time loop of RNN, LSTM and GRU, forward and backward, over sequences in packed order.
 *
 * The formulas are those of rnn.py, lstm.py and gru.py beside this file, which tests hold it to;
 * numbers like eq. (32) are those of docs/derivations.md. Matrices are row-major. Loops
 * are plain so that a compiler turns them into vector instructions; for products see products.h.
 * With -DDOUBLE the same in double precision.
 *
 * Functions over sequences return 0, or 1 if sizes do not fit the rows, or 2 without memory.
 */

#include "elementary.h"
#include "products.h"
#include "sequences.h"

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

/* Write all states, and the gates unless `gates` is NULL. */
int lstm_forward(const batch *b, const real *x, const real *h0, const real *c0, const real *w_ih,
                 const real *w_hh, const real *bias, real *output, real *cells, real *gates,
                 real *h_n, real *c_n) {
  if (!fits(b)) return 1;
  const int64_t hidden = b->hidden, wide = 4 * hidden, inputs = b->inputs;
  real *scratch = gates ? NULL : allocated(block_rows(b) * wide);
  if (!gates && !scratch) return 2;
  factor by_x = prepared(b, 'T', wide, inputs, w_ih), by_h = prepared(b, 'T', wide, hidden, w_hh);
  const real *h = h0, *c = c0;
  int64_t before = b->sequences, at = 0;
  for (block part = block_after(b, (block){0}); part.total; part = block_after(b, part)) {
    real *z = gates ? gates + at * wide : scratch;
    multiply(part.total, x + at * inputs, inputs, &by_x, 0, z, wide);
    for (int64_t step = part.first; step < part.stop; step++) {
      const int64_t size = b->sizes[step];
      keep_ended(b, size, before, h, h_n);
      keep_ended(b, size, before, c, c_n);
      multiply(size, h, hidden, &by_h, 1, z, wide);
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
  release(&by_x), release(&by_h), free(scratch);
  return 0;
}

/* grad_h and grad_c: gradients of the final states, overwritten by those of the initial ones, that
 * of h only if `to_start`; grad_output, grad_cells and grad_x may be NULL. */
int lstm_backward(const batch *b, int to_start, const real *x, const real *h0, const real *c0,
                  const real *w_ih, const real *w_hh, const real *output, const real *cells,
                  const real *gates, const real *grad_output, const real *grad_cells, real *grad_h,
                  real *grad_c, real *grad_x, real *grad_w_ih, real *grad_w_hh, real *grad_bias) {
  if (!fits(b)) return 1;
  const int64_t hidden = b->hidden, wide = 4 * hidden, inputs = b->inputs;
  workspace w = workspace_of(b, wide);
  if (!w.grad_z || !w.states) return 2;
  factor by_x = prepared(b, 'N', inputs, wide, grad_x ? w_ih : NULL);
  factor by_h = prepared(b, 'N', hidden, wide, w_hh);
  clear(grad_bias, wide);
  real beta = 0; /* the first block's sums are written, the others' added */
  const block end = {b->steps, b->steps, b->rows, 0};
  for (block part = block_before(b, end); part.total; part = block_before(b, part)) {
    int64_t at = part.start + part.total;
    for (int64_t step = part.stop - 1; step >= part.first; step--) {
      const int64_t size = b->sizes[step];
      at -= size;
      real *z = w.grad_z + (at - part.start) * wide;
      lstm_backward_step(gates + at * wide, states_before(b, step, at, cells, c0),
                         cells + at * hidden, grad_h,
                         grad_output ? grad_output + at * hidden : NULL,
                         grad_cells ? grad_cells + at * hidden : NULL, grad_c, z, size, hidden);
      if (step || to_start) multiply(size, z, wide, &by_h, 0, grad_h, hidden); /* eq. (32) */
    }
    const real *h_before = states_before_block(b, part, output, h0, w.states);
    if (grad_x) multiply(part.total, w.grad_z, wide, &by_x, 0, grad_x + at * inputs, inputs);
    add_outer(wide, inputs, part.total, w.grad_z, wide, x + at * inputs, beta, grad_w_ih, w.outer);
    add_outer(wide, hidden, part.total, w.grad_z, wide, h_before, beta, grad_w_hh, w.outer);
    add_rows(grad_bias, w.grad_z, part.total, wide, wide);
    beta = 1;
  }
  if (!beta) clear(grad_w_ih, wide * inputs), clear(grad_w_hh, wide * hidden);
  release(&by_x), release(&by_h), free_workspace(&w);
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
  const int64_t hidden = b->hidden, inputs = b->inputs;
  factor by_x = prepared(b, 'T', hidden, inputs, w_ih);
  factor by_h = prepared(b, 'T', hidden, hidden, w_hh);
  const real *h = h0;
  int64_t before = b->sequences, at = 0;
  for (block part = block_after(b, (block){0}); part.total; part = block_after(b, part)) {
    multiply(part.total, x + at * inputs, inputs, &by_x, 0, output + at * hidden, hidden);
    for (int64_t step = part.first; step < part.stop; step++) {
      const int64_t size = b->sizes[step];
      real *z = output + at * hidden;
      keep_ended(b, size, before, h, h_n);
      multiply(size, h, hidden, &by_h, 1, z, hidden);
      rnn_forward_step(z, bias, relu, size, hidden);
      h = z;
      at += size;
      before = size;
    }
  }
  copy(h_n, h, before * hidden);
  release(&by_x), release(&by_h);
  return 0;
}

int rnn_backward(const batch *b, int to_start, int relu, const real *x, const real *h0,
                 const real *w_ih, const real *w_hh, const real *output, const real *grad_output,
                 real *grad_h, real *grad_x, real *grad_w_ih, real *grad_w_hh, real *grad_bias) {
  if (!fits(b)) return 1;
  const int64_t hidden = b->hidden, inputs = b->inputs;
  workspace w = workspace_of(b, hidden);
  if (!w.grad_z || !w.states) return 2;
  factor by_x = prepared(b, 'N', inputs, hidden, grad_x ? w_ih : NULL);
  factor by_h = prepared(b, 'N', hidden, hidden, w_hh);
  clear(grad_bias, hidden);
  real beta = 0;
  const block end = {b->steps, b->steps, b->rows, 0};
  for (block part = block_before(b, end); part.total; part = block_before(b, part)) {
    int64_t at = part.start + part.total;
    for (int64_t step = part.stop - 1; step >= part.first; step--) {
      const int64_t size = b->sizes[step];
      at -= size;
      real *z = w.grad_z + (at - part.start) * hidden;
      rnn_backward_step(output + at * hidden, grad_h,
                        grad_output ? grad_output + at * hidden : NULL, relu, z, size * hidden);
      if (step || to_start) multiply(size, z, hidden, &by_h, 0, grad_h, hidden);
    }
    const real *h_before = states_before_block(b, part, output, h0, w.states);
    if (grad_x) multiply(part.total, w.grad_z, hidden, &by_x, 0, grad_x + at * inputs, inputs);
    add_outer(hidden, inputs, part.total, w.grad_z, hidden, x + at * inputs, beta, grad_w_ih,
              w.outer);
    add_outer(hidden, hidden, part.total, w.grad_z, hidden, h_before, beta, grad_w_hh, w.outer);
    add_rows(grad_bias, w.grad_z, part.total, hidden, hidden);
    beta = 1;
  }
  if (!beta) clear(grad_w_ih, hidden * inputs), clear(grad_w_hh, hidden * hidden);
  release(&by_x), release(&by_h), free_workspace(&w);
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

/* Write all states, and the gates unless `gates` is NULL. */
int gru_forward(const batch *b, const real *x, const real *h0, const real *w_ih, const real *w_hh,
                const real *b_ih, const real *b_hh, real *output, real *gates, real *h_n) {
  if (!fits(b)) return 1;
  const int64_t hidden = b->hidden, three = 3 * hidden, wide = 4 * hidden, inputs = b->inputs;
  real *scratch = gates ? NULL : allocated(block_rows(b) * wide);
  real *sums = allocated(b->sequences * three);
  if ((!gates && !scratch) || !sums) return free(scratch), free(sums), 2;
  factor by_x = prepared(b, 'T', three, inputs, w_ih), by_h = prepared(b, 'T', three, hidden, w_hh);
  const real *h = h0;
  int64_t before = b->sequences, at = 0;
  for (block part = block_after(b, (block){0}); part.total; part = block_after(b, part)) {
    real *z = gates ? gates + at * wide : scratch;
    multiply(part.total, x + at * inputs, inputs, &by_x, 0, z, wide);
    for (int64_t step = part.first; step < part.stop; step++) {
      const int64_t size = b->sizes[step];
      keep_ended(b, size, before, h, h_n);
      multiply(size, h, hidden, &by_h, 0, sums, three);
      gru_forward_step(z, sums, b_ih, b_hh, h, output + at * hidden, size, hidden);
      h = output + at * hidden;
      z += size * wide;
      at += size;
      before = size;
    }
  }
  copy(h_n, h, before * hidden);
  release(&by_x), release(&by_h), free(scratch), free(sums);
  return 0;
}

int gru_backward(const batch *b, int to_start, const real *x, const real *h0, const real *w_ih,
                 const real *w_hh, const real *output, const real *gates, const real *grad_output,
                 real *grad_h, real *grad_x, real *grad_w_ih, real *grad_w_hh, real *grad_b_ih,
                 real *grad_b_hh) {
  if (!fits(b)) return 1;
  const int64_t hidden = b->hidden, wide = 4 * hidden, inputs = b->inputs;
  const int64_t two = 2 * hidden, three = 3 * hidden;
  workspace w = workspace_of(b, wide);
  if (!w.grad_z || !w.states) return 2;
  factor by_x = prepared(b, 'N', inputs, two, grad_x ? w_ih : NULL);
  factor by_x_n = prepared(b, 'N', inputs, hidden, grad_x ? w_ih + two * inputs : NULL);
  factor by_h = prepared(b, 'N', hidden, three, w_hh);
  clear(grad_b_ih, three), clear(grad_b_hh, three);
  real beta = 0;
  const block end = {b->steps, b->steps, b->rows, 0};
  for (block part = block_before(b, end); part.total; part = block_before(b, part)) {
    int64_t at = part.start + part.total;
    for (int64_t step = part.stop - 1; step >= part.first; step--) {
      const int64_t size = b->sizes[step];
      at -= size;
      real *z = w.grad_z + (at - part.start) * wide;
      gru_backward_step(gates + at * wide, states_before(b, step, at, output, h0), grad_h,
                        grad_output ? grad_output + at * hidden : NULL, z, size, hidden);
      if (step || to_start) multiply(size, z + hidden, wide, &by_h, 1, grad_h, hidden);
    }
    const real *h_before = states_before_block(b, part, output, h0, w.states);
    const real *of_n = w.grad_z, *of_s = w.grad_z + hidden, *own = x + at * inputs;
    if (grad_x) {
      multiply(part.total, of_s, wide, &by_x, 0, grad_x + at * inputs, inputs);
      multiply(part.total, of_n, wide, &by_x_n, 1, grad_x + at * inputs, inputs);
    }
    add_outer(two, inputs, part.total, of_s, wide, own, beta, grad_w_ih, w.outer);
    add_outer(hidden, inputs, part.total, of_n, wide, own, beta, grad_w_ih + two * inputs, w.outer);
    add_outer(three, hidden, part.total, of_s, wide, h_before, beta, grad_w_hh, w.outer);
    add_rows(grad_b_ih, of_s, part.total, two, wide);
    add_rows(grad_b_ih + two, of_n, part.total, hidden, wide);
    add_rows(grad_b_hh, of_s, part.total, three, wide);
    beta = 1;
  }
  if (!beta) clear(grad_w_ih, three * inputs), clear(grad_w_hh, three * hidden);
  release(&by_x), release(&by_x_n), release(&by_h), free_workspace(&w);
  return 0;
}
