/* fold_int.h: between fold.c (events) and fold_decide.c (limits, commands of the workflow). */
#ifndef RUNS_FOLD_INT_H
#define RUNS_FOLD_INT_H

#include "fold.h"

/* Sets f->hit when time, tokens or money are used up. */
void fold_check_totals(struct fold *);
/* Asks the workflow and takes its commands: new open steps, or f->end. */
void fold_advance(struct fold *, ins_ctx *, const ins_workflow *, const json_t *event);

#endif
