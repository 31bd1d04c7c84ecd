/*
 * bus_sub.c: subscriptions: a thread each, which pulls one event at a time and posts it to a loop.
 *
 * A thread may block in the library, a loop may not. It pulls only while this host has room for
 * another delivery, so that the others of the deployment get what we could not take.
 */
#include "data/bus_impl.h"

#include <signal.h>
#include <stdatomic.h>

#include "base/json.h"
#include "base/log.h"

#define SUB_FETCH_MS 2000
#define SUB_PAUSE_MS 500

static struct bus_sub *subs; /* control thread */

void
bus_reply(natsConnection *nc, natsMsg *msg, const char *word)
{
	const char *to = natsMsg_GetReply(msg);

	if (to != NULL)
		natsConnection_PublishString(nc, to, word);
}

void
bus_sub_unref(struct bus_sub *s)
{
	CHECK_OBJ(s, BUS_SUB_MAGIC);
	if (--s->refs > 0)
		return;
	natsSubscription_Destroy(s->sub);
	free(s->durable);
	free(s->event_type);
	free(s->filter);
	s->magic = 0;
	free(s);
}

/* On the loop. */
static void
hand_over(struct ins_loop *loop, void *arg)
{
	struct bus_delivery *d = arg;
	json_t *envelope;
	int stopped;

	CHECK_OBJ(d, BUS_DELIVERY_MAGIC);
	bus_lock();
	stopped = d->sub->stopped;
	envelope = d->envelope;
	d->envelope = NULL;
	bus_unlock();
	if (stopped) {
		json_decref(envelope);
		bus_return(d);
	} else {
		d->sub->deliver(loop, d->sub->user, envelope, d);
	}
}

/* Redriven for another consumer of the same events? */
static int
for_another(struct bus_sub *s, natsMsg *msg)
{
	const char *who = NULL;

	return natsMsgHeader_Get(msg, BUS_H_REDRIVE, &who) == NATS_OK && who != NULL &&
	    strcmp(who, s->durable) != 0;
}

static void
receive(struct bus_sub *s, natsMsg *msg)
{
	static _Atomic unsigned turn;
	struct bus_delivery *d;
	jsMsgMetaData *meta = NULL;
	char err[160];

	if (natsMsg_GetMetaData(&meta, msg) != NATS_OK || for_another(s, msg)) {
		jsMsgMetaData_Destroy(meta);
		bus_lock();
		if (!bus_closing())
			bus_reply(bus_connection(), msg, "+ACK");
		bus_unlock();
		natsMsg_Destroy(msg);
		return;
	}
	d = base_alloc(sizeof *d);
	d->magic = BUS_DELIVERY_MAGIC;
	list_init(&d->link);
	d->sub = s;
	d->msg = msg;
	d->tries = meta->NumDelivered;
	d->stream_seq = meta->Sequence.Stream;
	jsMsgMetaData_Destroy(meta);
	d->envelope = json_parse(natsMsg_GetData(msg), (size_t)natsMsg_GetDataLength(msg), err);
	bus_lock();
	d->tries -= bus_returned(s->durable, d->stream_seq);
	bus_add(d);
	if (!json_is_object(d->envelope) || d->tries > BUS_CRASHES_MAX) {
		/* No handler can do better: no retries. */
		d->error = d->tries > BUS_CRASHES_MAX
		    ? base_printf(
			  "delivered %llu times, and never an end: does it crash its handler?",
			  (unsigned long long)d->tries)
		    : base_printf("not an event: %s", d->envelope == NULL ? err : "no object");
		d->result = -INS_EINVAL;
		if (d->tries <= BUS_RETRIES)
			d->tries = BUS_RETRIES + 1;
		s->in_flight--;
		bus_settle(d);
		bus_unlock();
		return;
	}
	bus_unlock();
	loop_post(loop_get((int)(atomic_fetch_add(&turn, 1) % loop_count())), hand_over, d);
}

/* The durable consumer, and our reading end of it. Thread, without the lock. */
static natsStatus
open_sub(struct bus_sub *s, natsConnection *nc, natsSubscription **ret)
{
	jsConsumerConfig c;
	jsSubOptions so;
	jsErrCode code = 0;
	jsCtx *js = NULL;
	jsOptions o;
	natsStatus r;

	jsOptions_Init(&o);
	o.Wait = BUS_JS_MS;
	jsConsumerConfig_Init(&c);
	c.Durable = s->durable;
	c.FilterSubject = s->filter;
	c.AckPolicy = js_AckExplicit;
	c.AckWait = BUS_ACK_WAIT_S * INT64_C(1000000000);
	c.DeliverPolicy = js_DeliverAll;
	c.MaxDeliver = -1; /* the retries are ours */
	jsSubOptions_Init(&so);
	/* Bound to a consumer that we made ourselves: the library removes those that it made. */
	so.Stream = BUS_STREAM;
	so.Consumer = s->durable;
	r = natsConnection_JetStream(&js, nc, &o);
	if (r == NATS_OK)
		r = js_AddConsumer(NULL, js, BUS_STREAM, &c, NULL, &code);
	if (r == NATS_OK)
		r = js_PullSubscribe(ret, js, s->filter, s->durable, NULL, &so, &code);
	jsCtx_Destroy(js);
	return r;
}

/* Thread, with the lock, which it lets go while it waits. */
static void
reopen(struct bus_sub *s)
{
	natsConnection *nc = bus_connection();
	natsSubscription *sub = NULL;
	natsStatus r;

	bus_unlock();
	r = open_sub(s, nc, &sub);
	bus_lock();
	if (r == NATS_OK) {
		s->sub = sub;
		return;
	}
	log_msg(INS_LOG_WARN, "bus.no_consumer", "%s: %s", s->durable, natsStatus_GetText(r));
	if (!s->stopped)
		bus_wait(SUB_PAUSE_MS);
}

static void *
run(void *arg)
{
	struct bus_sub *s = arg;
	natsSubscription *sub;
	natsMsgList list;
	natsStatus r;

	pthread_setname_np(pthread_self(), "bus-sub");
	bus_lock();
	while (!s->stopped && !bus_closing()) {
		if (!bus_ready() || s->in_flight >= BUS_IN_FLIGHT) {
			bus_wait(SUB_FETCH_MS);
			continue;
		}
		if (s->sub == NULL) {
			reopen(s);
			continue;
		}
		sub = s->sub;
		bus_unlock();
		memset(&list, 0, sizeof list);
		r = natsSubscription_Fetch(&list, sub, 1, SUB_FETCH_MS, NULL);
		if (r == NATS_OK && list.Count == 1) {
			receive(s, list.Msgs[0]);
			list.Msgs[0] = NULL;
		}
		natsMsgList_Destroy(&list);
		bus_lock();
		if (r != NATS_OK && r != NATS_TIMEOUT && !s->stopped) {
			/* The consumer or its stream went away with the server's files. */
			natsSubscription_Unsubscribe(s->sub);
			natsSubscription_Destroy(s->sub);
			s->sub = NULL;
			bus_wait(SUB_PAUSE_MS);
		}
	}
	bus_unlock();
	return NULL;
}

struct bus_sub *
bus_subscribe(const char *durable, const char *event_type,
    void (*deliver)(struct ins_loop *, void *user, json_t *envelope, void *token), void *user)
{
	struct bus_sub *s;
	sigset_t all, old;
	int closing;

	bus_lock();
	closing = bus_closing();
	bus_unlock();
	if (closing)
		return NULL;
	s = base_alloc(sizeof *s);
	s->magic = BUS_SUB_MAGIC;
	s->durable = base_strdup(durable);
	s->event_type = base_strdup(event_type);
	s->filter = base_printf("t.*.%s", event_type);
	s->deliver = deliver;
	s->user = user;
	s->refs = 1;
	s->next = subs;
	subs = s;
	sigfillset(&all);
	AZ(pthread_sigmask(SIG_SETMASK, &all, &old));
	AZ(pthread_create(&s->thread, NULL, run, s));
	AZ(pthread_sigmask(SIG_SETMASK, &old, NULL));
	return s;
}

static void
nothing(struct ins_loop *loop, void *arg)
{
}

void
bus_unsubscribe(struct bus_sub *s)
{
	struct bus_sub **p;

	CHECK_OBJ(s, BUS_SUB_MAGIC);
	for (p = &subs; *p != NULL && *p != s; p = &(*p)->next)
		;
	ASSERT(*p == s);
	*p = s->next;
	bus_lock();
	s->stopped = 1;
	if (s->sub != NULL)
		natsSubscription_Unsubscribe(s->sub);
	bus_signal();
	bus_unlock();
	AZ(pthread_join(s->thread, NULL));
	/* What was posted before has been handed over or given back after this. */
	loop_call_all(nothing, NULL);
	bus_lock();
	bus_sub_unref(s);
	bus_unlock();
}

void
bus_sub_stop_all(void)
{
	while (subs != NULL)
		bus_unsubscribe(subs);
}
