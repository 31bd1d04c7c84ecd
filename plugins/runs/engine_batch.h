/* engine_batch.h: a statement of a commit batch while it is put together. */
#ifndef RUNS_ENGINE_BATCH_H
#define RUNS_ENGINE_BATCH_H

#include "array.h"
#include "engine.h"

#define COLUMNS_MAX 28u

/* Array parameters, one for each column; rows are added to all of them at once. */
struct columns {
	struct array col[COLUMNS_MAX];
	unsigned n, rows;
	ins_arg args[COLUMNS_MAX + 2];
};

#endif
