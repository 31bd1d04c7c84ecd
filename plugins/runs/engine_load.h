/*
 * engine_load.h: a load of runs from their logs, for the files that do it: engine_load_begin.c says
 * which runs and why, engine_load.c reads them.
 */
#ifndef RUNS_ENGINE_LOAD_H
#define RUNS_ENGINE_LOAD_H

#include "plugins/runs/engine.h"

#define LOAD_RUNS_MAX 256u  /* runs listed at once */
#define LOAD_PAGE_EVENTS 64 /* events read at once */
#define LOAD_ID_BYTES 37u
#define LOAD_FIRST_ID "00000000-0000-0000-0000-000000000000" /* a page after it is the first */

#define RUN_COLUMNS                                                                     \
	"r.run_id, r.tenant_id, r.user_id, r.shard, r.workflow, r.version, r.next_seq," \
	" r.budget, r.attrs ->> 'plan',"                                                \
	" (extract(epoch FROM r.created_at) * 1000000)::bigint, r.thread_id,"           \
	" r.assistant_id, s.seq, s.state"
#define RUN_SNAPSHOT                                               \
	" LEFT JOIN LATERAL (SELECT seq, state FROM run_snapshots" \
	"  WHERE run_id = r.run_id ORDER BY seq DESC LIMIT 1) AS s ON true"

struct load {
	struct engine *engine;
	char (*tenants)[LOAD_ID_BYTES];
	const char **tenant_ptrs;
	size_t n_tenants;
	char tenants_after[LOAD_ID_BYTES]; /* the last tenant that was listed */
	char *shards; /* array literal; NULL when runs are loaded by their ids */
	char *ids;    /* the same, of runs that something is due for */
	struct ready *ready;
	unsigned n_ready;
	char after[LOAD_ID_BYTES]; /* the last run that was listed */
	struct run *runs[LOAD_RUNS_MAX];
	int64_t expect[LOAD_RUNS_MAX]; /* their next_seq */
	unsigned n_runs, at;
	unsigned page;   /* runs to read at once, and events of each; smaller after a page */
	int window;      /* that was too large for one task */
	int all_tenants; /* no tenant comes after these */
	int listed_all;  /* no run of these tenants comes after those that are listed */
	int abandoned, poison;
	unsigned loaded;
};

/* Begins a load; l is its own from here on. On an error it is still the caller's. */
int load_spawn(struct load *);
void load_free(struct load *);
void engine_load_begin_init(struct plugin *);
/* Room for n tenants, of which none is there yet. -INS_ENOMEM. */
int load_tenants_room(struct load *, size_t n);
void load_tenant_add(struct load *, const char *tenant_id);

#endif
