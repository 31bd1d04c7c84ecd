/*
 * metering_bus.c: usage.metered from the bus: what runs used, and what others announce.
 *
 * A delivery is acknowledged when its event is stored. An event that is no event, or whose id
 * another event has, goes through the bus's retries to the dead letters, where an operator sees it.
 */
#include "instant.h"
#include "metering.h"

INS_AWAITS
static int
metered(ins_ctx *ctx, void *self, const json_t *envelope)
{
	const json_t *payload = json_object_get(envelope, "payload");
	const char *at = json_string_value(json_object_get(envelope, "timestamp"));
	struct metering *m = self;
	int64_t time_us = ins_now_us();
	char err[USAGE_ERR_MAX];
	struct waiter *w;
	int r;

	if (json_is_true(json_object_get(payload, "stored")))
		return 0;
	w = waiter_new(ctx, envelope);
	if (w == NULL)
		return ins_fail(ctx, INS_ENOMEM, "out of memory");
	if (at != NULL)
		instant_parse(at, &time_us);
	if (usage_parse(payload, time_us, json_string_value(json_object_get(envelope, "workflow")),
		json_string_value(json_object_get(envelope, "run_id")), &w->ev, err) != 0) {
		waiter_unref(w);
		ins_add(m->events, outcome_names[OUTCOME_INVALID], 1);
		return ins_fail(ctx, INS_EINVAL, "usage.metered: %s", err);
	}
	w->ev.subject = w->subject;
	usage_price(&w->ev, m->prices);
	r = join_store(ctx, m, w);
	if (r == 0 && w->outcome == OUTCOME_CONFLICT)
		r = ins_fail(ctx, INS_ECONFLICT, "another usage event has the id %.200s of %.200s",
		    w->ev.id, w->ev.source);
	waiter_unref(w);
	return r;
}

int
bus_init(struct metering *m)
{
	return ins_subscribe(m->host, "usage.metered", metered);
}
