/*
 * bus.h: NATS JetStream carries business events; PostgreSQL's outbox remembers them until it has.
 *
 * Stream INS_EVENTS (subjects t.>), stream INS_DLQ (subjects dlq.>, kept 7 days). A subscription is
 * a durable pull consumer named <plugin>-<event type>, explicit ack, shared by the hosts of a
 * deployment. NATS' own threads only post to mailboxes; a delivery is a task on one of the loops,
 * inside the event's tenant. Failed deliveries are retried after 1, 5 and 25 s, then go to
 * dlq.<subject> with the error and the tries. While a delivery runs, the broker is told so
 * (in-progress) every 10 s. NATS away: readers wait and reconnect; writers notice nothing, since
 * events are outbox rows.
 */
#ifndef HOST_BUS_H
#define HOST_BUS_H

#include <insula/insula.h>

#include "loop/task.h"

struct bus_sub;

void bus_init(const char
	*url); /* control thread: connects in the background, makes the streams when it can */
void bus_fini(void);
int bus_up(void);
/*
 * deliver is called on a loop's stack with a parsed envelope (stolen) and must end in
 * bus_done(token, result, error text), on the same loop. Which loop: round robin.
 */
struct bus_sub *bus_subscribe(const char *durable, const char *event_type,
    void (*deliver)(struct ins_loop *, void *user, json_t *envelope, void *token), void *user);
/* Control thread; no delivery begins after it returns. Those under way may still call bus_done. */
void bus_unsubscribe(struct bus_sub *);
void bus_done(void *token, int result, const char *error);

/* The outbox call of an event (data/outbox.c): arguments in the ctx's arena. The tenant is that of
 * the principal, or of ctx. */
int outbox_event(struct ins_ctx *, const ins_principal *, const char *event_type,
    const char *run_id, const char *workflow, const char *tier, const json_t *payload,
    ins_call *ret);
/* The relay: on loop 0, woken after a commit that held an event, and every second. */
void outbox_start(struct ins_loop *);
void outbox_stop(struct ins_loop *);

/* Dead letters: for the CLI. Prints; returns an exit status. */
int bus_dlq_list(const char *url);
int bus_dlq_redrive(const char *url, const char *event_id_or_all);

#endif
