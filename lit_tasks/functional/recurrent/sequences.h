/* What the loops of all kinds share: sequences in packed order, their blocks, their products. */

static inline void add(real *restrict sum, const real *restrict term, int64_t size) {
#pragma GCC ivdep
  for (int64_t k = 0; k < size; k++) sum[k] += term[k];
}

static void add_rows(real *sum, const real *terms, int64_t rows, int64_t size, int64_t stride) {
  for (int64_t row = 0; row < rows; row++) add(sum, terms + row * stride, size);
}

static void clear(real *numbers, int64_t size) {
  memset(numbers, 0, (size_t)size * sizeof(real));
}

static void copy(real *to, const real *from, int64_t numbers) {
  if (to && numbers) memcpy(to, from, (size_t)numbers * sizeof(real));
}

/* Sequences in packed order: sizes[t] of them have step t; see packing.py. */
typedef struct {
  const int64_t *sizes;
  int64_t steps, rows, sequences, inputs, hidden, block, threads;
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

/* The most rows that a block can have. */
static int64_t block_rows(const batch *b) {
  return b->block + b->sequences < b->rows ? b->block + b->sequences : b->rows;
}

/* BLAS knows threads, which pay from some millions of operations on; and a factor of few rows is
 * not worth repacking. */
static int own_product(const batch *b, int64_t cols, int64_t depth) {
  const int64_t operations = 2 * b->sequences * cols * depth;
  return TILES && b->rows >= 32 && (b->threads == 1 || operations < 2000000);
}

/* Return a right factor, ready for the products with all rows; to be released. None if NULL. */
static factor prepared(const batch *b, char is, int64_t cols, int64_t depth, const real *numbers) {
  factor made = {is, cols, depth, is == 'T' ? depth : cols, numbers, NULL};
  if (numbers && own_product(b, cols, depth) && (made.panels = allocated(panels_size(cols, depth))))
    fill_panels(&made, made.panels);
  return made;
}

static void release(factor *made) { free(made->panels); }

/* Room for one block in a backward pass: the gradients of what is activated, the states before its
 * rows, and what add_outer wants, NULL where BLAS does that. */
typedef struct {
  real *grad_z, *states, *outer;
} workspace;

static void free_workspace(workspace *w) { free(w->grad_z), free(w->states), free(w->outer); }

static workspace workspace_of(const batch *b, int64_t wide) {
  const int64_t rows = block_rows(b), cols = b->inputs > b->hidden ? b->inputs : b->hidden;
  workspace w = {allocated(rows * wide), allocated(rows * b->hidden), NULL};
  if (own_product(b, cols, wide)) w.outer = allocated(panels_size(cols, rows) + ROWS * rows);
  if (!w.grad_z || !w.states) free_workspace(&w);
  return w;
}

/* The states before a step whose rows begin at row `at`. */
static const real *states_before(const batch *b, int64_t step, int64_t at, const real *states,
                                 const real *initial) {
  return step ? states + (at - b->sizes[step - 1]) * b->hidden : initial;
}

/* The states before all rows of a block on end, where they lie so already; else copied to `space`. */
static const real *states_before_block(const batch *b, block part, const real *states,
                                       const real *initial, real *space) {
  const int64_t before = part.first ? b->sizes[part.first - 1] : 0;
  if (part.stop - part.first == 1 || before == b->sizes[part.stop - 1])
    return states_before(b, part.first, part.start, states, initial);
  for (int64_t step = part.first, at = part.start; step < part.stop; at += b->sizes[step++])
    copy(space + (at - part.start) * b->hidden, states_before(b, step, at, states, initial),
         b->sizes[step] * b->hidden);
  return space;
}

/* Sequences from `size` on have ended: their states are final. */
static void keep_ended(const batch *b, int64_t size, int64_t before, const real *states,
                       real *ends) {
  if (size < before) copy(ends + size * b->hidden, states + size * b->hidden,
                          (before - size) * b->hidden);
}
