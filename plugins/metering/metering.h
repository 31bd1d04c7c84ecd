/* metering.h: what the files of this plugin share. */
#ifndef METERING_H
#define METERING_H

#include <insula/insula.h>
#include <insula/meter.h>

#include <stdatomic.h>

#include "usage.h"

#define METERING_BATCH_MAX 1000u /* CloudEvents of one request */
#define METERING_JOIN_MAX 128u   /* events from the bus in one transaction */
#define METERING_WAIT_MAX 4096u  /* of them waiting on one loop */
#define METERING_SLOTS 8u        /* rows of one sum, see metering.sql */
#define METERING_DAYS_MAX 3660   /* of one question */
#define METERING_ROWS_MAX 10000  /* of one answer */
#define METERING_REPLAY_DAYS_MAX 366

struct conf {
	const char *prices;
	int64_t max_ahead;
};

struct metering {
	ins_host *host;
	struct conf conf;
	struct prices *prices;
	ins_meter vtable;
	const ins_stmt *store, *stored, *ahead, *sums, *replay;
	ins_metric *events;     /* by what became of them */
	ins_metric *unpriced;   /* by model */
	ins_metric *difference; /* a gauge */
	_Atomic unsigned turn;
	_Atomic int64_t ahead_us; /* when the partitions were last made, by the monotonic clock */
	_Atomic int64_t differing;
};

enum outcome { OUTCOME_ACCEPTED, OUTCOME_DUPLICATE, OUTCOME_CONFLICT, OUTCOME_INVALID, OUTCOMES };
extern const char *const outcome_names[OUTCOMES];

void store_init(struct metering *);
/*
 * Stores events in the ctx's tenant, with the calls of `more`, all in one transaction and, unless
 * another transaction is storing some of them at this moment, one round trip. Each must be priced.
 * ret[i] is what became of events[i]. 0, or what ins_db says: then none is known to be stored.
 */
INS_AWAITS
int store_events(ins_ctx *, struct metering *, struct usage_event *const *events, unsigned n,
    const ins_call *more, unsigned n_more, enum outcome *ret);
/* The same for one event, as a call that lives as long as the ctx. */
int store_call(ins_ctx *, struct metering *, struct usage_event *, ins_call *ret);
/* Counts what became of an event. */
void store_count(struct metering *, const struct usage_event *, enum outcome);
/* ins.meter/1 */
INS_AWAITS
int meter_record(ins_ctx *, void *self, const json_t *event);
int meter_calls(ins_ctx *, void *self, const json_t *event, ins_call ret[INS_METER_CALLS]);

/* An event that waits to be stored with others. Lives until both its task and the one that took it
 * have let go: a task may be cancelled while its event is being stored. */
#define WAITER_ARGS_MAX 8u
struct waiter {
	struct waiter *next;
	unsigned refs;
	json_t *json; /* what the event's texts are of */
	char tenant[40], subject[132];
	struct usage_event ev;
	struct usage_line lines[USAGE_LINES_MAX];
	ins_call call; /* to commit with it; stmt NULL = none */
	ins_arg args[WAITER_ARGS_MAX];
	char *call_text;
	enum outcome outcome;
	int done, r;
};
/* Of the ctx's tenant and user; ev is the caller's to fill. NULL: out of memory. */
struct waiter *waiter_new(ins_ctx *, const json_t *);
int waiter_call(struct waiter *, const ins_call *); /* copies */
void waiter_unref(struct waiter *);
/* Stores it, sooner or later, and waits for that. 0: see outcome. -INS_EUNAVAILABLE and
 * -INS_ECANCELED: it may be stored or not. */
INS_AWAITS
int join_store(ins_ctx *, struct metering *, struct waiter *);
int join_start(ins_loop *, void **ret_local);
void join_stop(void *local);

int bus_init(struct metering *);    /* usage.metered */
int events_init(struct metering *); /* POST /v1/usage/events */
int sums_init(struct metering *);   /* GET /v1/usage, POST /v1/usage/recompute */

#endif
