/* fold_int.h: between the files of the fold. */
#ifndef RUNS_FOLD_INT_H
#define RUNS_FOLD_INT_H

#include "fold.h"

static inline int64_t
fold_int(const json_t *j, const char *name, int64_t dflt)
{
	const json_t *v = json_object_get(j, name);

	return json_is_integer(v) ? json_integer_value(v) : dflt;
}

/* fold.c */
void fold_close(struct fold *, struct fold_step *);

/* fold_decide.c */
/* Sets f->hit when time, tokens or money are used up. */
void fold_check_totals(struct fold *);
/* Asks the workflow and takes its commands: what opens, or f->end. Takes event. */
void fold_advance(struct fold *, ins_ctx *, const ins_workflow *, json_t *event);
/* One more thing that is open; NULL when there is no room or a limit is hit: then the run ends. */
struct fold_step *fold_open(struct fold *, enum open_kind, const char *name);
void INS_PRINTF(2, 3) fold_fail(struct fold *, const char *fmt, ...);

/* fold_wait.c */
/* The commands timer, wait and interrupt; 0 = it was none of them. */
int fold_command_wait(struct fold *, const json_t *cmd);
/* A wait and a signal that belong together; NULL when there is none. */
struct fold_step *fold_match(const struct fold *, size_t *ret_signal);
void fold_take_signals(struct fold *, ins_ctx *, const ins_workflow *);
void fold_timer_fired(struct fold *, ins_ctx *, const ins_workflow *, struct fold_step *);
void fold_signal(struct fold *, ins_ctx *, const ins_workflow *, const struct run_event *);
void fold_resumed(struct fold *, ins_ctx *, const ins_workflow *, const json_t *value);
/* command: of a start. */
void fold_patched(struct fold *, ins_ctx *, const ins_workflow *, const json_t *command);
void fold_release(struct fold *);
/* 1 when the name is in before or after: a list of names, or "*". */
int fold_named(const json_t *names, const char *name);

#endif
