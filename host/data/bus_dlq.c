/*
 * bus_dlq.c: dead letters: how they are written, listed and sent again.
 *
 * A dead letter is the event's own bytes on dlq.<its subject>, with what happened in headers: so
 * even bytes that are no event at all can be kept and looked at. Its stream's subjects lie outside
 * t.>, so that no consumer of events ever reads one.
 */
#include "data/bus_impl.h"

#include <time.h>

#include "base/json.h"

/* Header values are one line. */
static void
one_line(char out[BUS_ERROR_MAX], const char *z)
{
	size_t i;

	for (i = 0; i < BUS_ERROR_MAX - 1 && z[i] != '\0'; i++)
		out[i] = (unsigned char)z[i] < ' ' ? ' ' : z[i];
	out[i] = '\0';
}

static void
now(char out[32])
{
	int64_t us = base_now_us();
	time_t t = (time_t)(us / 1000000);
	struct tm tm;

	gmtime_r(&t, &tm);
	strftime(out, 32, "%Y-%m-%dT%H:%M:%SZ", &tm);
}

natsStatus
bus_dead_letter(natsConnection *nc, const struct bus_delivery *d)
{
	char error[BUS_ERROR_MAX], tries[24], when[32], id[256], *subject;
	natsMsg *msg = NULL;
	jsPubOptions po;
	jsCtx *js = NULL;
	natsStatus s;

	one_line(error, d->error);
	snprintf(tries, sizeof tries, "%llu", (unsigned long long)d->tries);
	now(when);
	/* Written again after a lost acknowledgement, it is known. */
	snprintf(id, sizeof id, "%.128s:%llu", d->sub->durable, (unsigned long long)d->stream_seq);
	subject = base_printf(BUS_DEAD_PREFIX "%s", natsMsg_GetSubject(d->msg));
	s = natsMsg_Create(
	    &msg, subject, NULL, natsMsg_GetData(d->msg), natsMsg_GetDataLength(d->msg));
	if (s == NATS_OK)
		s = natsMsgHeader_Set(msg, BUS_H_ERROR, error);
	if (s == NATS_OK)
		s = natsMsgHeader_Set(msg, BUS_H_TRIES, tries);
	if (s == NATS_OK)
		s = natsMsgHeader_Set(msg, BUS_H_CONSUMER, d->sub->durable);
	if (s == NATS_OK)
		s = natsMsgHeader_Set(msg, BUS_H_FAILED_AT, when);
	jsPubOptions_Init(&po);
	po.MsgId = id;
	po.MaxWait = BUS_JS_MS;
	if (s == NATS_OK)
		s = natsConnection_JetStream(&js, nc, NULL);
	if (s == NATS_OK)
		s = js_PublishMsg(NULL, js, msg, &po, NULL);
	jsCtx_Destroy(js);
	natsMsg_Destroy(msg);
	free(subject);
	return s;
}

struct cli {
	natsConnection *nc;
	jsCtx *js;
	uint64_t first, last; /* sequences */
};

static int
cli_open(struct cli *c, const char *url)
{
	natsOptions *o = NULL;
	jsStreamInfo *si = NULL;
	natsStatus s = bus_options(&o, url, "insula dlq", NULL);

	memset(c, 0, sizeof *c);
	if (s == NATS_OK)
		s = natsConnection_Connect(&c->nc, o);
	natsOptions_Destroy(o);
	if (s == NATS_OK)
		s = natsConnection_JetStream(&c->js, c->nc, NULL);
	if (s == NATS_OK)
		s = bus_streams_make(c->js);
	if (s == NATS_OK)
		s = js_GetStreamInfo(&si, c->js, BUS_DEAD_STREAM, NULL, NULL);
	if (s != NATS_OK) {
		fprintf(stderr, "insula: NATS: %s\n", natsStatus_GetText(s));
		return -1;
	}
	c->first = si->State.FirstSeq;
	c->last = si->State.LastSeq;
	jsStreamInfo_Destroy(si);
	return 0;
}

static void
cli_close(struct cli *c)
{
	jsCtx_Destroy(c->js);
	if (c->nc != NULL)
		natsConnection_Close(c->nc);
	natsConnection_Destroy(c->nc);
	nats_CloseAndWait(2000);
}

static const char *
header(natsMsg *msg, const char *name)
{
	const char *v = NULL;

	return natsMsgHeader_Get(msg, name, &v) == NATS_OK && v != NULL ? v : "-";
}

/* The event's id, "" when it is none; the caller frees the envelope. */
static const char *
event_id(natsMsg *msg, json_t **envelope)
{
	char err[160];
	const char *id;

	*envelope = json_parse(natsMsg_GetData(msg), (size_t)natsMsg_GetDataLength(msg), err);
	id = json_string_value(json_object_get(*envelope, "event_id"));
	return id == NULL ? "" : id;
}

int
bus_dlq_list(const char *url)
{
	json_t *envelope;
	natsMsg *msg;
	struct cli c;
	uint64_t seq;
	int r = cli_open(&c, url), n = 0;

	for (seq = c.first; r == 0 && seq != 0 && seq <= c.last; seq++) {
		if (js_GetMsg(&msg, c.js, BUS_DEAD_STREAM, seq, NULL, NULL) != NATS_OK)
			continue; /* redriven or too old */
		printf("%s  %s  %s  %s  tries %s  %s\n", header(msg, BUS_H_FAILED_AT),
		    event_id(msg, &envelope), natsMsg_GetSubject(msg) + strlen(BUS_DEAD_PREFIX),
		    header(msg, BUS_H_CONSUMER), header(msg, BUS_H_TRIES),
		    header(msg, BUS_H_ERROR));
		json_decref(envelope);
		natsMsg_Destroy(msg);
		n++;
	}
	if (r == 0 && n == 0)
		printf("no dead letters\n");
	cli_close(&c);
	return r == 0 ? 0 : 1;
}

/* Publishes the event again for the consumer that failed, then removes the dead letter. */
static natsStatus
redrive(struct cli *c, natsMsg *dead, const char *id, uint64_t seq)
{
	natsMsg *msg = NULL;
	char msg_id[256];
	jsPubOptions po;
	natsStatus s;

	/* Not the event's own id, which JetStream would take for a duplicate. */
	snprintf(msg_id, sizeof msg_id, "%.128s:redrive:%llu", id, (unsigned long long)seq);
	jsPubOptions_Init(&po);
	po.MsgId = msg_id;
	s = natsMsg_Create(&msg, natsMsg_GetSubject(dead) + strlen(BUS_DEAD_PREFIX), NULL,
	    natsMsg_GetData(dead), natsMsg_GetDataLength(dead));
	if (s == NATS_OK)
		s = natsMsgHeader_Set(msg, BUS_H_REDRIVE, header(dead, BUS_H_CONSUMER));
	if (s == NATS_OK)
		s = js_PublishMsg(NULL, c->js, msg, &po, NULL);
	if (s == NATS_OK)
		s = js_DeleteMsg(c->js, BUS_DEAD_STREAM, seq, NULL, NULL);
	natsMsg_Destroy(msg);
	return s;
}

int
bus_dlq_redrive(const char *url, const char *which)
{
	int r, n = 0, all = strcmp(which, "all") == 0;
	json_t *envelope;
	natsStatus s = NATS_OK;
	const char *id;
	natsMsg *msg;
	struct cli c;
	uint64_t seq;

	r = cli_open(&c, url);
	for (seq = c.first; r == 0 && seq != 0 && seq <= c.last; seq++) {
		if (js_GetMsg(&msg, c.js, BUS_DEAD_STREAM, seq, NULL, NULL) != NATS_OK)
			continue;
		id = event_id(msg, &envelope);
		if (all || strcmp(id, which) == 0) {
			s = redrive(&c, msg, id, seq);
			if (s == NATS_OK) {
				printf("redriven %s to %s\n", id, header(msg, BUS_H_CONSUMER));
				n++;
			} else {
				fprintf(stderr, "insula: %s: %s\n", id, natsStatus_GetText(s));
				r = -1;
			}
		}
		json_decref(envelope);
		natsMsg_Destroy(msg);
	}
	if (r == 0 && n == 0 && !all)
		fprintf(stderr, "insula: there is no dead letter of event %s\n", which);
	if (r == 0 && n == 0 && all)
		printf("no dead letters\n");
	cli_close(&c);
	return r == 0 && (n > 0 || all) ? 0 : 1;
}
