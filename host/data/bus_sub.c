/*
 * bus_sub.c: subscriptions: a thread each, which pulls events and posts each to a loop.
 *
 * A thread may block in the library, a loop may not. It asks for as many events as this host has
 * room for, so that the others of the deployment get what we could not take, and hands each over as
 * it comes; it asks again when that many came or the broker says that the request has ended. The
 * requests are JetStream's own (a publish to $JS.API.CONSUMER.MSG.NEXT with an inbox of ours), not
 * the library's: in 3.4.1 its fetch of more than one may write past its array, and it frees the
 * subscription too early (see bus.c).
 */
#include "data/bus_impl.h"

#include <signal.h>
#include <stdatomic.h>
#include <unistd.h>

#include "base/json.h"
#include "base/log.h"

#define SUB_FETCH_MS 2000 /* how long a request stands at the broker */
#define SUB_LATE_MS 500   /* and how much longer we wait for its end */
#define SUB_PAUSE_MS 500
#define SUB_DRAIN_MS 1000
#define SUB_LOW (BUS_IN_FLIGHT / 4)
#define SUB_GATHER_MS 2 /* with less room than SUB_LOW: a request for each event costs too much */

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
	ASSERT(s->sub == NULL);
	natsInbox_Destroy(s->inbox);
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
	uint64_t back;
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
	back = bus_returned(s->durable, d->stream_seq);
	/* The broker may have lost its files, and numbers events anew. */
	d->tries = d->tries > back ? d->tries - back : 1;
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

/* The durable consumer; nothing when it is there. Thread, without the lock. */
static natsStatus
consumer_make(struct bus_sub *s, natsConnection *nc)
{
	jsConsumerConfig c;
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
	r = natsConnection_JetStream(&js, nc, &o);
	if (r == NATS_OK)
		r = js_AddConsumer(NULL, js, BUS_STREAM, &c, NULL, &code);
	jsCtx_Destroy(js);
	return r;
}

/* Where the answers come in. Thread, without the lock. */
static natsStatus
inbox_open(struct bus_sub *s, natsConnection *nc)
{
	natsSubscription *sub = NULL;
	char subject[128];
	natsStatus r = NATS_OK;

	if (s->sub != NULL)
		return NATS_OK;
	if (s->inbox == NULL)
		r = natsInbox_Create(&s->inbox);
	if (r != NATS_OK)
		return r;
	snprintf(subject, sizeof subject, "%s.*", s->inbox);
	r = natsConnection_SubscribeSync(&sub, nc, subject);
	bus_lock();
	s->sub = sub;
	bus_unlock();
	return r;
}

/* Thread, with the lock, which it lets go while it waits. */
static void
reopen(struct bus_sub *s)
{
	natsConnection *nc = bus_connection();
	unsigned epoch = bus_epoch();
	natsStatus r;

	bus_unlock();
	r = inbox_open(s, nc);
	if (r == NATS_OK)
		r = consumer_make(s, nc);
	bus_lock();
	if (r == NATS_OK) {
		s->epoch = epoch;
		return;
	}
	log_msg(INS_LOG_WARN, "bus.no_consumer", "%s: %s", s->durable, natsStatus_GetText(r));
	if (!s->stopped)
		bus_wait(SUB_PAUSE_MS);
}

/* The broker's word on this request when it is no event: 404, 408, 409; or 0. */
static int
status(natsMsg *msg, const char *request)
{
	const char *z = NULL;

	if (natsMsgHeader_Get(msg, "Status", &z) != NATS_OK || z == NULL ||
	    strcmp(natsMsg_GetSubject(msg), request) != 0)
		return 0;
	return z[0] == '4' ? atoi(z) : 0;
}

/* One request for n events, and what comes of it. 0; -1 when the consumer may be gone. Thread,
 * without the lock. */
static int
pull(struct bus_sub *s, natsConnection *nc, unsigned n)
{
	char next[256], request[160], ask[128];
	natsMsg *msg = NULL;
	unsigned got = 0;
	natsStatus r;
	int over = 0;

	snprintf(next, sizeof next, "$JS.API.CONSUMER.MSG.NEXT.%s.%s", BUS_STREAM, s->durable);
	snprintf(request, sizeof request, "%s.%llu", s->inbox, (unsigned long long)++s->requests);
	snprintf(ask, sizeof ask, "{\"batch\":%u,\"max_bytes\":%u,\"expires\":%d000000}", n,
	    BUS_PULL_BYTES, SUB_FETCH_MS);
	r = natsConnection_PublishRequestString(nc, next, request, ask);
	while (r == NATS_OK && got < n && !over) {
		r = natsSubscription_NextMsg(&msg, s->sub, SUB_FETCH_MS + SUB_LATE_MS);
		if (r != NATS_OK)
			break;
		if (natsMsg_GetReply(msg) != NULL) {
			got++;
			receive(s, msg);
			continue;
		}
		over = status(msg, request);
		natsMsg_Destroy(msg);
		if (over == 409 && got == 0) /* 409 with some is the end of max_bytes */
			return -1;
	}
	return r == NATS_OK || r == NATS_TIMEOUT ? 0 : -1;
}

/* What is on its way goes back. Thread, without the lock. */
static void
inbox_close(struct bus_sub *s)
{
	natsSubscription *sub = s->sub;
	natsMsg *msg = NULL;

	if (sub == NULL)
		return;
	natsSubscription_DrainTimeout(sub, SUB_DRAIN_MS);
	while (natsSubscription_NextMsg(&msg, sub, 2 * SUB_DRAIN_MS) == NATS_OK)
		if (natsMsg_GetReply(msg) != NULL)
			receive(s, msg); /* hand_over() returns it */
		else
			natsMsg_Destroy(msg);
	bus_lock();
	s->sub = NULL;
	bus_unlock();
	bus_retire(sub);
}

static void *
run(void *arg)
{
	struct bus_sub *s = arg;
	int gathered = 0, r;
	natsConnection *nc;
	unsigned room;

	pthread_setname_np(pthread_self(), "bus-sub");
	bus_lock();
	while (!s->stopped && !bus_closing()) {
		if (!bus_ready() || s->in_flight >= BUS_IN_FLIGHT) {
			bus_wait(SUB_FETCH_MS);
			continue;
		}
		if (s->epoch != bus_epoch()) {
			reopen(s);
			continue;
		}
		room = BUS_IN_FLIGHT - s->in_flight;
		nc = bus_connection();
		bus_unlock();
		if (room < SUB_LOW && !gathered) {
			usleep(SUB_GATHER_MS * 1000);
			gathered = 1;
			bus_lock();
			continue;
		}
		gathered = 0;
		r = pull(s, nc, room);
		bus_lock();
		if (r != 0 && !s->stopped) {
			/* The consumer or its stream went away with the server's files. */
			s->epoch = 0;
			bus_wait(SUB_PAUSE_MS);
		}
	}
	bus_unlock();
	inbox_close(s);
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
	/* Ends the thread's wait, behind what the broker has sent by now: not to be given back,
	 * that would come again after BUS_ACK_WAIT_S. */
	if (s->sub != NULL)
		natsSubscription_DrainTimeout(s->sub, SUB_DRAIN_MS);
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
