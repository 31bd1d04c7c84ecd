/*
 * bus.h: NATS JetStream carries business events; PostgreSQL's outbox remembers them until it has.
 *
 * Stream INS_EVENTS (subjects t.>), stream INS_DLQ (subjects dlq.>, kept 7 days). A subscription is
 * a durable pull consumer named <plugin>-<event type>, explicit ack, shared by the hosts of a
 * deployment. Threads of the bus only post to mailboxes; a delivery is a task on one of the loops,
 * inside the event's tenant. Failed deliveries are retried after 1, 5 and 25 s, then go to
 * dlq.<subject> with the error and the tries. While a delivery runs, the broker is told so
 * (in-progress) every 10 s. NATS away: readers wait and reconnect; writers notice nothing, since
 * events are outbox rows.
 */
#ifndef HOST_BUS_H
#define HOST_BUS_H

#include <insula/insula.h>

#include "loop/task.h"

#define BUS_RETRIES 3
#define BUS_RETURN_MS 1000
#define BUS_RETURNED_MAX 256 /* given back and not yet here again; older ones count as tries */
#define BUS_CRASHES_MAX                                                                         \
	8                /* deliveries that began and never ended, then the dead letters get it \
			  */
#define BUS_IN_FLIGHT 64 /* deliveries of one subscription on this host */
#define BUS_PULL_BYTES (4u << 20) /* of events in one answer; an event is smaller by far */
#define BUS_ACK_WAIT_S 30
#define BUS_PROGRESS_MS 10000
#define BUS_EVENTS_AGE_S (7 * 86400)
#define BUS_EVENTS_BYTES (INT64_C(2) << 30)
#define BUS_DEAD_AGE_S (7 * 86400)
#define BUS_DUPLICATES_S 600          /* how long JetStream knows an event_id again */
#define BUS_ERROR_MAX 512             /* bytes of an error text in a dead letter */
#define OUTBOX_EVENT_MAX (512u << 10) /* bytes of an envelope; NATS takes 1 MiB by default */
#define OUTBOX_BATCH 256

struct bus_sub;

/* Control thread, once the loops run: connects in the background, makes the streams when it can. */
void bus_init(const char *url);
/* Control thread, while the loops still run: unsubscribes who is left. bus_done() of deliveries
 * that are still under way stays harmless; those events come again elsewhere or later. */
void bus_fini(void);
int bus_up(void); /* 1 while connected and the streams are there */
/*
 * deliver is called on a loop's stack with a parsed envelope (stolen) and must end in
 * bus_done(token, result, error text), on the same loop. Which loop: round robin. Control thread;
 * durable and event_type are copied. NULL when there is no bus.
 */
struct bus_sub *bus_subscribe(const char *durable, const char *event_type,
    void (*deliver)(struct ins_loop *, void *user, json_t *envelope, void *token), void *user);
/* Control thread; no delivery begins after it returns. Those under way may still call bus_done. */
void bus_unsubscribe(struct bus_sub *);
void bus_done(void *token, int result, const char *error);
/* Gives a delivery back that no handler saw (no room, a subscription that ended): it comes again
 * after BUS_RETURN_MS and does not count as a try. Instead of bus_done(). */
void bus_return(void *token);
/* For tests: other pauses, in ms, than 1000, 5000, 25000. NULL: those. Before bus_init(). */
void bus_retry_set(const int64_t ms[BUS_RETRIES]);

/*
 * The outbox call of an event (data/outbox_event.c): arguments in the ctx's arena. The tenant and
 * user are those of the principal, or of ctx when that is NULL. -INS_ETOOBIG past OUTBOX_EVENT_MAX,
 * -INS_EINTERNAL for a malformed event type or no tenant. Right for pg_batch() as PG_APP of that
 * tenant, and as PG_ENGINE with it among its tenants.
 */
int outbox_event(struct ins_ctx *, const ins_principal *, const char *event_type,
    const char *run_id, const char *workflow, const char *tier, const json_t *payload,
    ins_call *ret);
struct ins_stmt *outbox_insert(void); /* the statement of those calls */
/* The relay: a thread with a connection of its own, woken after a commit that held an event, and
 * every second. start and stop on one loop, after pg_init() and before bus_fini(). */
void outbox_start(struct ins_loop *);
void outbox_stop(struct ins_loop *);

/* Dead letters: for the CLI. Prints; returns an exit status: 0, 1 on error or when there is none
 * with that event id. Redriven events reach only the consumer that had failed. */
int bus_dlq_list(const char *url);
int bus_dlq_redrive(const char *url, const char *event_id_or_all);

#endif
