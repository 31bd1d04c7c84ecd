/*
 * bus_impl.h: what the files of bus share.
 *
 * Acknowledgements are published by hand ("+ACK", "-NAK", "+WPI" to the message's reply subject, as
 * NATS documents them): they need the connection alone, so a delivery may outlive its subscription.
 */
#ifndef HOST_BUS_IMPL_H
#define HOST_BUS_IMPL_H

#include <nats/nats.h>
#include <pthread.h>

#include "data/bus.h"

#define BUS_STREAM "INS_EVENTS"
#define BUS_JS_MS 2000 /* for an answer of JetStream's API */
#define BUS_DEAD_STREAM "INS_DLQ"
#define BUS_DEAD_PREFIX "dlq."
#define BUS_BATCH_MAX OUTBOX_BATCH /* events of one bus_publish() */
#define BUS_H_ID "Nats-Msg-Id"
#define BUS_H_ERROR "Insula-Error"
#define BUS_H_TRIES "Insula-Tries"
#define BUS_H_CONSUMER "Insula-Consumer"
#define BUS_H_FAILED_AT "Insula-Failed-At"
#define BUS_H_REDRIVE "Insula-Redrive" /* the one consumer that a redriven event is for */

#define BUS_SUB_MAGIC 0x42555355u
#define BUS_DELIVERY_MAGIC 0x42555344u

struct bus_sub {
	uint32_t magic;
	struct bus_sub *next; /* control thread */
	char *durable, *event_type, *filter;
	void (*deliver)(struct ins_loop *, void *user, json_t *envelope, void *token);
	void *user;
	pthread_t thread;
	natsSubscription *sub; /* on inbox.*; its thread's; the pointer under the bus' lock */
	natsInbox *inbox;
	unsigned epoch; /* its thread: when the consumer was there */
	uint64_t requests;
	int stopped;
	unsigned in_flight, refs;
};

struct bus_delivery {
	uint32_t magic;
	struct list link; /* outstanding, or to be settled; under the bus' lock */
	struct bus_sub *sub;
	natsMsg *msg;
	json_t *envelope; /* until handed over */
	uint64_t tries, stream_seq;
	int result, returned;
	char *error;
	int64_t not_before_us; /* a dead letter that could not be written is tried again */
};

/* bus.c */
extern int64_t bus_retry_ms[BUS_RETRIES];
void bus_lock(void);
void bus_unlock(void);
int bus_closing(void); /* under the lock, as those that follow */
natsConnection *bus_connection(void);
int bus_ready(void);      /* connected, and the streams are there */
unsigned bus_epoch(void); /* how often that came to be */
void bus_wait(int ms);    /* for any change */
void bus_signal(void);
uint64_t bus_returned(const char *durable, uint64_t stream_seq); /* how often it was given back */
void bus_add(struct bus_delivery *);                             /* it is outstanding now */
void bus_settle(struct bus_delivery *); /* and now it is not: the bus' thread acknowledges */
natsStatus bus_streams_make(jsCtx *);
/* What every connection to NATS is made with. stay: one that comes back by itself for ever and
 * tells; NULL: the CLI's, which fails. */
struct bus_stay {
	natsConnectionHandler connected, disconnected;
	natsErrHandler error;
};
natsStatus bus_options(natsOptions **, const char *url, const char *name, const struct bus_stay *);
/* Unsubscribes, and frees when that is safe; without the lock, before bus_fini() closes. */
void bus_retire(natsSubscription *);
/* Publishes up to BUS_BATCH_MAX and waits for every acknowledgement; 0 or -1. Any thread; the
 * outbox. */
struct bus_event {
	const char *subject, *id, *data;
	size_t n;
};
int bus_publish(const struct bus_event *, size_t n);

/* bus_sub.c */
void bus_sub_stop_all(void);
void bus_sub_unref(struct bus_sub *); /* under the lock */
void bus_reply(natsConnection *, natsMsg *, const char *word);

/* bus_dlq.c */
natsStatus bus_dead_letter(natsConnection *, const struct bus_delivery *);

#endif
