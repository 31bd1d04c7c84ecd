/*
 * openai_meter.c: what a completion by a model used, for ins.meter/1. What a workflow's run used
 * the run engine says.
 *
 * Kept once, by the completion's id. Whole and streamed answers are metered when the model is done;
 * so that the client does not wait for a commit, by a task of its own, which tries again while the
 * database is away. `meter_first` has it committed before the answer's end instead: a host that is
 * killed then loses no usage of an answer that went out. A stream that was cut, by either side, and
 * an answer whose client left or that came too late is metered by estimate: a token is four bytes.
 */
#include "openai.h"

#include <stdlib.h>

#define BACKOFF_MIN_MS 100
#define BACKOFF_MAX_MS 30000
#define TRIES 30 /* some ten minutes */

struct later {
	struct openai *openai;
	json_t *event;
};

/* Could another try store it? */
static int
transient(int r)
{
	return r == -INS_EUNAVAILABLE || r == -INS_ETIMEOUT || r == -INS_ELIMIT ||
	    r == -INS_ECANCELED || r == -INS_ENOMEM;
}

/* The whole event stands in the log, so that it can be brought in by POST /v1/usage/events. */
static void
give_up(ins_ctx *ctx, struct openai *openai, const json_t *event, int r)
{
	ins_add(openai->unmetered, NULL, 1);
	ins_log(ctx, INS_LOG_ERROR, "chat.unmetered",
	    json_pack("{s:O, s:i, s:s}", "event", event, "code", -r, "error", ins_last_error(ctx)));
}

INS_AWAITS
static int
record(ins_ctx *ctx, struct openai *openai, const json_t *event)
{
	/* Got for this one call: it keeps a generation alive. */
	const ins_meter *meter = ins_service(ctx, openai->host, NEED_METER, 0, NULL);

	return meter == NULL ? 0 : meter->record(ctx, meter->self, event);
}

INS_AWAITS
static int
record_later(ins_ctx *ctx, void *arg)
{
	struct later *l = arg;
	int64_t wait = BACKOFF_MIN_MS;
	int r = -INS_ECANCELED, i;

	for (i = 0; i < TRIES && !ins_cancelled(ctx); i++) {
		r = record(ctx, l->openai, l->event);
		if (r >= 0 || !transient(r))
			break;
		ins_clear_error(ctx);
		if (ins_sleep(ctx, wait) != 0)
			break;
		wait = wait * 2 > BACKOFF_MAX_MS ? BACKOFF_MAX_MS : wait * 2;
	}
	if (r < 0)
		give_up(ctx, l->openai, l->event, r);
	json_decref(l->event);
	free(l);
	return 0;
}

static void
spawn(ins_ctx *ctx, struct openai *openai, json_t *event)
{
	struct later *l = malloc(sizeof *l);
	int r = -INS_ENOMEM;

	if (l != NULL) {
		l->openai = openai;
		l->event = json_incref(event);
		r = ins_spawn_child(ctx, openai->host, "openai.meter", record_later, l);
	}
	if (r == 0)
		return;
	give_up(ctx, openai, event, r);
	if (l != NULL)
		json_decref(l->event);
	free(l);
}

/* Takes usage. */
static json_t *
event_of(const struct answer *a, json_t *usage)
{
	return json_pack("{s:s, s:s, s:s, s:I, s:s, s:I, s:o}", "source", "urn:insula:openai", "id",
	    a->reply.id, "kind", "completion", "time_us", (json_int_t)ins_now_us(), "model",
	    a->reply.model, "duration_ms", (json_int_t)((ins_mono_us() - a->start_us) / 1000),
	    "usage", usage);
}

static json_t *
estimate(const struct answer *a)
{
	return json_pack("{s:I, s:I, s:b}", "prompt_tokens",
	    (json_int_t)((a->request->input_chars + 3) / 4), "completion_tokens",
	    (json_int_t)((a->streamed + 3) / 4), "estimated", 1);
}

INS_AWAITS
static void
meter(struct answer *a, json_t *usage, int now)
{
	json_t *event = event_of(a, usage);
	int r = -INS_ECANCELED;

	if (event == NULL) {
		ins_add(a->openai->unmetered, NULL, 1);
		return;
	}
	if (now && !ins_cancelled(a->ctx)) {
		r = record(a->ctx, a->openai, event);
		if (r < 0 && !transient(r))
			give_up(a->ctx, a->openai, event, r);
		ins_clear_error(a->ctx);
	}
	if (r < 0 && transient(r))
		spawn(a->ctx, a->openai, event);
	json_decref(event);
}

static int
metered(const struct answer *a)
{
	return ins_service(a->ctx, a->openai->host, NEED_METER, 0, NULL) != NULL;
}

void
answer_meter(struct answer *a, const json_t *result)
{
	const json_t *usage = json_object_get(result, "usage");

	if (metered(a))
		meter(a, json_is_object(usage) ? json_copy((json_t *)usage) : estimate(a),
		    a->openai->conf.meter_first);
}

void
answer_meter_failed(struct answer *a, int r)
{
	/* An error that the provider answered with costs nothing. */
	if ((a->begun || ins_cancelled(a->ctx) || r == -INS_ECANCELED || r == -INS_ETIMEOUT) &&
	    metered(a))
		meter(a, estimate(a), 0);
}
