/*
 * engine.h: what the files of the run engine share.
 *
 * Every loop is an engine of its own: it owns its share of the shards (engine_share.c), the runs in
 * them, one commit batch in flight, and its watchers. Nothing here is touched from another loop,
 * and nothing is locked. PostgreSQL is what loops, hosts and generations of this plugin agree
 * through: a lease on a shard carries a fence, every commit names it, and a commit also compares
 * the run's next_seq.
 *
 *	engine_commit.c   the queue of runs with events, batches, what happens when one fails
 *	engine_batch.c    the statements of a batch
 *	engine_batch_with.c  what is committed along with events: thread heads, snapshots, messages
 *	engine_start.c    starting runs
 *	engine_send.c     sending messages to them
 *	engine_ready.c    what waits for the owner: pending runs, messages, runs that slept
 *	engine_inbox.c    a run takes its messages
 *	engine_timer.c    timers and time limits of the runs in memory
 *	engine_told.c     what the platform hears of a run's end
 *	engine_state.c    states of any run, from its log
 *	engine_lease.c    shards: take, renew, lose, give back
 *	engine_share.c    which engine should own which shard
 *	engine_ready_list.c  steps that are ready, by engine_fair.c in turns by tenant
 *	engine_load.c     runs from their logs, in pages
 *	engine_load_begin.c  which: after a start, a takeover, a wake-up, a conflict
 *	engine_step.c     dispatch, attempts, results
 *	engine_relay.c    what loops and hosts tell each other, and may lose
 *	engine_watch.c    watchers: queues with back-pressure; following a run that is elsewhere
 *	failpoint.c       where tests may end the host
 *	runs.c, runs_http.c   the plugin, its service and its routes
 */
#ifndef RUNS_ENGINE_H
#define RUNS_ENGINE_H

#include <insula/engine.h>
#include <insula/insula.h>
#include <insula/runs.h>
#include <insula/workflow.h>

#include <stdatomic.h>

#include "plugins/runs/engine_fair.h"
#include "plugins/runs/engine_share.h"
#include "plugins/runs/fold.h"

#define NEED_WORKFLOW 0
#define RUNS_BATCH_RUNS 64u
#define RUNS_BATCH_BYTES (256u << 10)
#define RUNS_TABLE 1024u         /* buckets, a power of two */
#define RUNS_DATA_MAX (1u << 20) /* bytes of one event's data */
#define RUNS_INPUT_MAX (256u << 10)
#define RUNS_WATCH_BYTES (1u << 20) /* queued for one watcher */
#define RUNS_WATCH_STALL_MS 30000   /* a watcher that takes nothing for so long is dropped */
#define RUNS_INTERRUPTIONS_MAX 5    /* restarts that one step may see beyond its attempts */
#define RUNS_AHEAD_MAX 16u /* events of a run that idempotent steps may be ahead of the log */
#define RUNS_READY_IDS 16u
#define RUNS_READY_ROWS 8u           /* of one run that one look at run_ready takes */
#define RUNS_INBOX_MAX 1000          /* messages that wait for one run */
#define RUNS_ANSWER_BYTES (4u << 20) /* of events' data in one answer */
#define RUNS_PAGE_BYTES (1u << 20)   /* of events read at once, about */
#define RUNS_WANTED_IDS 256u
#define RUNS_SNAPSHOT_EVENTS 64               /* a snapshot is taken after so many events */
#define RUNS_SLEEP_US (60 * INT64_C(1000000)) /* a run that waits longer leaves the memory */
#define RUNS_KEY_MAX 255u
#define RUNS_HANDOVER_MS 3000 /* what steps get to end when their shard goes to another engine */
#define RUNS_SHARD_TURN 64u   /* runs before the next shard: a batch touches few shards */

struct conf {
	const char *failpoint;
	int64_t lease, live, steps_running, pending;
	int64_t steps, visits, time, tokens, cost_nanos;
	json_t *limits;
	int32_t execute;
	json_t *plans;
};

/* The statements of a commit batch, in their order. */
enum with {
	WITH_START,
	WITH_APPEND,
	WITH_HEAD,
	WITH_SNAPSHOT,
	WITH_SNAPSHOT_OLD,
	WITH_TAKEN,
	WITH_AWAKE,
	WITH_SLEEP,
	WITH_SEEN,
	WITH_NEXT,
	WITH_DELETE_EVENTS,
	WITH_DELETE,
	WITHS
};

struct stmts {
	const ins_stmt *with[WITHS];
	const ins_stmt *lease_renew, *lease_take, *lease_release, *ahead;
	const ins_stmt *host_beat, *host_units, *host_leave, *host_forget;
	const ins_stmt *tenants, *live, *events, *one, *some;
	const ins_stmt *follow, *follow_run, *get, *get_events, *list, *get_stale,
	    *get_events_stale;
	const ins_stmt *by_key, *lock_thread, *pend, *pend_ready, *displace, *displace_ready,
	    *displace_pending;
	const ins_stmt *due, *seen, *inbox, *drop_message, *pending;
	const ins_stmt *send, *find, *cancel_pending, *told, *n_pending, *delete_events,
	    *delete_run;
	const ins_stmt *checkpoint, *end_pending, *forget, *over_events, *over_run;
	const ins_stmt *state_row, *state_events;
};

struct metrics {
	ins_metric *ready, *ended, *duration, *commits, *events, *retries;
	ins_metric *shards, *hosts, *takeovers, *lost, *refused;
};

struct plugin {
	ins_host *host;
	struct conf conf;
	int fail_at; /* which of enum failpoint, while fail_after is above 0 */
	_Atomic int fail_after;
	struct stmts sql;
	struct metrics metric;
	ins_runs vtable;
	struct plan_share *plans; /* of the option */
	unsigned n_plans;
	char boot_id[80]; /* of this instance of the plugin, not of the process */
};

/* Columns that every query for whole runs begins with: see run_from_row(). */
#define RUN_COLUMNS_N 14

/* Rows of run_ready: of one run, the oldest. */
struct ready {
	char run_id[37], tenant_id[37];
	unsigned n;
	struct {
		int64_t id, at_us;
	} row[RUNS_READY_ROWS];
};

enum run_state {
	RUN_NEW,  /* RunStarted is not committed */
	RUN_LIVE, /* the log holds it and this loop owns it */
	RUN_GONE  /* ended, or somebody else's now */
};

struct job;

struct run {
	struct run *bucket_next;
	struct engine *engine;
	unsigned refs; /* table, jobs, watchers, starter */
	enum run_state state;

	char run_id[37], tenant_id[37], user_id[129], plan[33];
	char workflow[FOLD_NAME_MAX + 1], version[33];
	char thread_id[37], assistant_id[37]; /* "" = none */
	char base_run[37];                    /* the state that it goes on from; "" = none */
	int64_t base_seq;
	char *idem_key;
	json_t *metadata;
	int shard;
	struct fold fold;
	int64_t sleeps_until;      /* when it sleeps; 0 = for ever */
	int64_t snapped, snapping; /* seqs of the last snapshot, -1 = none, and of that under way */
	int64_t ready_ids[RUNS_READY_IDS]; /* rows of run_ready that its next commit settles */
	unsigned n_ready, n_settling;      /* of which in the batch under way */
	/* made and applied, not yet committed; the first n_flying are in the batch under way */
	struct run_event *pending, **pending_tail;
	unsigned n_pending, n_flying;
	size_t pending_bytes;
	int64_t committed;  /* events in the log */
	unsigned n_waiting; /* jobs in the ready list */
	unsigned holds;     /* local steps under way: their events go with the next commit */
	unsigned queued : 1;
	unsigned abandoned : 1; /* its starter was told that it could not be begun */
	unsigned promoting : 1; /* pending, and about to begin */
	unsigned sleeps : 1;    /* so its row says, after the batch under way or the last one */
	unsigned no_head : 1;   /* its thread keeps the state that it has */
	unsigned slept : 1;     /* run_ready may hold a time for it */
	unsigned relayed : 1;   /* somebody watches it from another loop or host */
	unsigned deleting : 1;  /* its rows go with its end */
	unsigned poisoned : 1;  /* loaded only to be ended: an event could not be recorded */
	struct run *queue_next;
	int start_error; /* why RunStarted could not be committed */
	ins_cond *cond;  /* any change that starter, watchers or steps may wait for */
	struct ins_watch *watches;
};

/* One attempt of one step. */
struct job {
	struct fair_item item; /* in the ready list: first, so that the two are one pointer */
	struct run *run;
	int32_t step_id, attempt;
	int64_t delay_ms, timeout_ms, begun_us;
	int32_t max_attempts;
	enum step_class class;
	int streamed; /* a watcher got some of it */
	char name[FOLD_NAME_MAX + 1];
	json_t *input;
	ins_ctx *ctx; /* while it runs */
	struct job *running_next;
};

struct engine {
	struct plugin *plugin;
	ins_loop *loop;
	unsigned index, count;
	struct run *table[RUNS_TABLE];
	unsigned n_live;
	/* commit */
	struct run *queue, **queue_tail;
	unsigned batch_max;
	int committing;
	int64_t backoff_ms;
	/* dispatch */
	struct fair fair; /* the ready list */
	unsigned n_running;
	struct job *running;
	/* what is due */
	int64_t due_us; /* not later than the earliest timer of a run in memory; 0 = none */
	ins_cond *due;
	int firing;
	int polling, poll_again, loading;
	ins_relay *wakes, *wanted;
	char wanted_ids[RUNS_WANTED_IDS][37]; /* watched from elsewhere before they came; a ring */
	unsigned n_wanted;
	ins_cond *arrived; /* broadcast when a run comes into the table */
	/* leases */
	int64_t fence[RUNS_SHARDS];      /* 0 = not ours */
	int64_t loaded[RUNS_SHARDS];     /* the fence whose runs are loaded */
	int64_t leaving_us[RUNS_SHARDS]; /* since when it is being given back; 0 = it is not */
	uint8_t target[RUNS_SHARDS];     /* should be ours */
	struct share_unit *units;        /* who is alive */
	unsigned n_units, n_owned, n_hosts;
	int64_t lease_until_us, round_us, refused_us;
	int refused; /* another process has our name */
	int round_now;
	ins_cond *lease_wake;
	ins_relay *lease_relay;
	ins_cond *leased; /* broadcast when shards were got */
	unsigned turn, turn_at;
	int taken_once, stopping;
	int64_t ahead_us; /* when partitions were last made */
};

/* engine.c */
struct run *run_new(struct engine *, const char *run_id);
void run_ref(struct run *);
void run_unref(struct run *);
struct run *run_find(struct engine *, const char *run_id);
void run_insert(struct run *);
/* Takes it from the table; what it still holds goes with the last reference. */
void run_remove(struct run *);
/* Lets a run go that waits for long and that nobody watches: what wakes it is in the database. */
void run_rest(ins_ctx *, struct run *);
/* Lets go of what waits for a commit or for room. */
void engine_clear(struct engine *);
ins_principal run_principal(const struct run *);
/* The provider of the run's workflow in this version; NULL when it is not there. any: any version.
 */
const ins_workflow *run_workflow(ins_ctx *, struct plugin *, const char *name, const char *version);
void run_log(ins_ctx *, int level, const char *event, const struct run *, const char *text);

/* The text of a uuid, in lower case, in the arena; NULL when it is none. */
const char *uuid_of(ins_ctx *, const char *z);

/* An event of a row whose columns, from `col` on, are seq, type, step_id, attempt, node, ts in
 * microseconds, data. NULL: not an event, or no memory. */
struct run_event *run_event_parse(const ins_rows *, size_t row, size_t col);

/* engine_commit.c */
/* Gives the event seq and time, applies it and what follows from it, queues all for the commit, and
 * starts local steps. Takes ev. -INS_ENOMEM or -INS_EINVAL: nothing was done. */
int run_record(ins_ctx *, struct run *, struct run_event *ev);
void run_queue(ins_ctx *, struct run *);
/* Begins a batch if there is something to commit and none is under way. */
void engine_kick(ins_ctx *, struct engine *);
void run_drop_pending(struct run *);
/* When the engine stops: commits what is recorded, for so long at most. */
INS_AWAITS
void engine_flush(ins_ctx *, struct engine *, int64_t ms);

/* engine_batch.c */
int batch_commit(ins_ctx *, struct engine *, struct run **runs, unsigned n);
void engine_batch_init(struct plugin *);

/* engine_batch_with.c */
struct columns; /* of one statement: see engine_batch.h */
void engine_with_init(struct plugin *);
/* What goes along with the flying events of a run. -INS_ENOMEM. */
int batch_with(ins_ctx *, struct columns *all, struct run *);
/* What its row will say after the flying events: 1 = it sleeps until *ret_us (0 = for ever). */
int run_sleeps(const struct run *, int64_t *ret_us);

/* engine_lease.c */
void engine_lease_init(struct plugin *);
int engine_lease_open(struct engine *);
int engine_lease_start(struct engine *);
/* In drain(): what is recorded is committed, and the leases are given back, by a task that outlives
 * it. */
void engine_lease_drain(struct engine *);
void engine_lease_close(struct engine *);
int engine_shard_leaving(const struct engine *, int shard); /* no new steps there */
int engine_leased(const struct engine *); /* 1 while steps may be dispatched and batches sent */
/* A shard for a new run, -1 when none is held. */
int engine_pick_shard(struct engine *);

/* engine_load_begin.c */
void engine_load_start(ins_ctx *, struct engine *); /* the runs of shards that were got */
/* After a commit of this run failed: looks what the log says. */
int run_reload(ins_ctx *, struct run *, int why);

/* The runs with these ids, each of which `then` gets when it is loaded; see engine_ready.c. */
int engine_load_some(ins_ctx *, struct engine *, const struct ready *, unsigned n);

/* engine_load.c */
void engine_load_init(struct plugin *);
/* A run as a row says whose first columns are run_id, tenant_id, user_id, shard, workflow, version,
 * next_seq, budget, plan, created_at in microseconds, thread_id, assistant_id, seq and state of the
 * newest snapshot (or NULL). Its fold stands where the snapshot was taken. */
struct run *run_from_row(struct engine *, const ins_rows *, size_t i, int64_t *ret_next);

/* engine_ready_list.c */
struct plan_share {
	char plan[33];
	unsigned weight, in_flight; /* 0 = no limit */
};
int plan_shares_init(struct plugin *); /* the option `plans` */
void ready_init(struct engine *);
/* -INS_ENOMEM: the job is still the caller's. */
int ready_push(struct engine *, struct job *);
struct job *ready_next(struct engine *); /* still in its place */
void ready_take(struct engine *, struct job *, int run);
void ready_done(struct job *);
struct job *ready_drop(struct engine *);

/* engine_step.c */
/* The steps of a run that is over, or elsewhere, are told to stop. */
void run_cancel_jobs(struct run *);
/* Makes ready what the fold holds open, is not dispatched yet and may be now. */
void run_dispatch(ins_ctx *, struct run *);
void engine_pump(ins_ctx *, struct engine *);
void engine_drop_ready(struct engine *);

/* engine_watch.c */
void engine_watch_init(struct plugin *);
int runs_workflows(ins_ctx *, void *self, json_t **ret);
int runs_watch(ins_ctx *, void *self, const char *run_id, int64_t after, uint32_t flags,
    ins_watch **ret_watch);
ins_watch *watch_new(ins_ctx *, struct run *, uint32_t flags);
int runs_next(ins_ctx *, void *self, ins_watch *, json_t **ret_event);
void run_tell(struct run *, const struct run_event *);
/* A piece of a step's stream; waits for slow watchers. -INS_ECANCELED: nobody wants this any more.
 */
int run_tell_delta(ins_ctx *, struct job *, const json_t *delta);
/* The attempt's stream is void: those who got some of it are told that it was cut. */
void run_tell_cut(struct run *, int32_t step_id, const char *name);
/* An event, or a piece of a stream, that came by relay; borrowed. */
void watch_relayed(ins_watch *, json_t *);
/* The run went elsewhere: watchers read its log from now on. */
void run_tell_gone(struct run *);

/* engine_start.c */
void engine_start_init(struct plugin *);
int runs_start(
    ins_ctx *, void *self, const ins_run_request *, const char **ret_run_id, ins_watch **ret_watch);
void limits_for(const struct plugin *, const char *workflow, struct fold_limits *);
/* RunStarted's data from what was asked; a new reference. */
json_t *start_data(const json_t *input, const json_t *options);
/* The bytes of j as text; 0 for NULL. */
size_t json_bytes(const json_t *);
/* -INS_EINVAL about this field of the request. */
int bad_field(ins_ctx *, const char *field, const char *text);

/* As runs_start; *ret_pending: 1 = a new run that waits for its turn. */
int runs_begin(ins_ctx *, struct plugin *, const ins_run_request *req, const char **ret_run_id,
    ins_watch **ret_watch, int *ret_pending);

/* engine_told.c */
#define TOLD_CALLS 2
struct run_end {
	ins_principal who;
	const char *run_id, *workflow, *version;
	const json_t *data; /* of RunEnded */
	int64_t ts_us, duration_ms;
	int64_t prompt_tokens, completion_tokens, cost_nanos; /* when data has no usage */
};
void engine_told_init(struct plugin *);
/* The calls that tell of an end, for a batch. */
int told_calls(ins_ctx *, const struct run_end *, ins_call ret[TOLD_CALLS]);
/* The same for a run that did not begin, by its row: who (tenant, user, plan), run_id, workflow,
 * version, ts_us. */
int told_unbegun(ins_ctx *, const struct run_end *, const char *status, ins_call ret[TOLD_CALLS]);
/* Cancels a run that is pending, and tells of it. 0 also when it is pending no more. */
INS_AWAITS
int told_cancel(ins_ctx *, struct plugin *, const struct run_end *);
/* Tells of a run that another one displaced, unless that was done. */
INS_AWAITS
int told_displaced(ins_ctx *, struct plugin *, const struct run_end *);

/* engine_send.c */
void engine_send_init(struct plugin *);
int runs_send(ins_ctx *, void *self, const char *run_id, const char *kind, const char *msg_id,
    const char *name, const json_t *payload);

/* engine_ready.c */
void engine_ready_init(struct plugin *);
/* Looks for what is due in our shards, soon. */
void engine_poll(ins_ctx *, struct engine *);
/* What is due for this run goes, unseen: it is over, or can't be loaded. */
int ready_forget(ins_ctx *, struct engine *, const char *run_id);
int ready_delete(ins_ctx *, struct engine *, const struct ready *);
/* 1 when another run of its thread is under way on this loop, which owns all of them. */
int run_thread_busy(const struct run *);
int engine_pulse_start(struct engine *);

/* engine_inbox.c */
void engine_inbox_init(struct plugin *);
/* A run that is in memory looks for its messages, because of these rows of run_ready. */
int run_take_messages(ins_ctx *, struct run *, const struct ready *);
/* Takes what is in the inbox: how many events came of it, or an error. */
int run_take_inbox(ins_ctx *, struct run *);

/* engine_relay.c */
#define RUNS_WAKE "ins.run.wake"
#define RUNS_WANTED "ins.run.wanted"
/* 1 when somebody elsewhere asked for this run before it was in memory. */
int relay_is_wanted(const struct engine *, const char *run_id);
/* Opens the relays by which other loops and hosts call this engine. */
int engine_relays_open(struct engine *);
/* Tells the owner of the shard that something is due there. */
void engine_wake(ins_ctx *, struct engine *, int shard);
void relay_json(struct engine *, const char *run_id, const json_t *);
/* Asks whoever holds the run to relay what happens in it. */
void relay_want(struct engine *, const char *run_id);
ins_relay *relay_follow(struct engine *, const char *run_id, ins_watch *);

/* engine_timer.c */
int engine_timer_start(struct engine *);
/* After any change of a run's fold. */
void run_set_timer(struct run *);

/* engine_state.c */
void engine_state_init(struct plugin *);
/* What a run's row says. */
struct run_row {
	char run_id[37], tenant_id[37], workflow[FOLD_NAME_MAX + 1], version[33], status[16];
	char base_run[37];
	int64_t base_seq, next_seq;
};
/* Folds the log of a run of this tenant up to the event seq (-1 = the last). ret: to be ended by
 * the caller with fold_fini(), also after an error. -INS_ENOTFOUND. */
int state_load(ins_ctx *, struct plugin *, const char *tenant, const char *run_id, int64_t seq,
    struct run_row *ret_row, struct fold *ret);
int runs_state(ins_ctx *, void *self, const char *run_id, int64_t seq, json_t **ret_state);
int runs_history(
    ins_ctx *, void *self, const char *run_id, int64_t seq, uint32_t limit, json_t **ret_states);
int runs_describe(ins_ctx *, void *self, const char *workflow, json_t **ret);

/* failpoint.c */
enum failpoint {
	FAIL_BEFORE_COMMIT,
	FAIL_MID_BATCH,
	FAIL_AFTER_COMMIT,
	FAIL_AFTER_DISPATCH,
	FAIL_AFTER_STEP,
	FAIL_TAKEOVER,
	FAILPOINTS
};
int failpoint_init(struct plugin *);
void failpoint_hit(struct plugin *, ins_loop *, enum failpoint);
static inline void
failpoint(struct engine *e, enum failpoint at)
{
	if (*e->plugin->conf.failpoint != '\0')
		failpoint_hit(e->plugin, e->loop, at);
}

/* How many events to read next, after a page of so many with so many bytes. */
int64_t runs_next_page(int64_t page, size_t bytes, int64_t most);

/* runs_http.c */
int runs_http_init(struct plugin *);
/* What RunEnded, or Interrupted, says stands on the run itself too. */
void run_take_end(json_t *run, const json_t *end);

/* runs_http_act.c */
int runs_http_act_init(struct plugin *);

#endif
