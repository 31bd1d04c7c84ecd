/*
 * metering_meter.c: ins.meter/1 for other plugins: an event now, with others that come meanwhile,
 * or as calls in a batch of the caller's.
 */
#include "metering.h"

static int
prepare(ins_ctx *ctx, struct metering *m, const json_t *event, const char *subject,
    struct usage_event *ev)
{
	char err[USAGE_ERR_MAX];

	if (usage_parse(event, ins_now_us(), NULL, NULL, ev, err) != 0) {
		ins_add(m->events, outcome_names[OUTCOME_INVALID], 1);
		return ins_fail(ctx, INS_EINVAL, "A usage event is not one: %s", err);
	}
	ev->subject = subject;
	usage_price(ev, m->prices);
	return 0;
}

/* For billing and analytics; `stored` tells our own subscription that there is nothing to do. */
static int
announce(ins_ctx *ctx, const struct usage_event *ev, const json_t *event, ins_call *ret)
{
	json_t *payload = ins_json_end(ctx, json_copy((json_t *)event));

	if (payload == NULL ||
	    json_object_set_new(payload, "time_us", json_integer(ev->time_us)) != 0 ||
	    json_object_set_new(payload, "stored", json_true()) != 0)
		return ins_fail(ctx, INS_ENOMEM, "out of memory");
	return ins_event(ctx, "usage.metered", *ev->run_id != '\0' ? ev->run_id : NULL,
	    *ev->workflow != '\0' ? ev->workflow : NULL, NULL, payload, ret);
}

int
meter_calls(ins_ctx *ctx, void *self, const json_t *event, ins_call ret[INS_METER_CALLS])
{
	struct metering *m = self;
	struct usage_event ev;
	int r;

	ev.lines = ins_alloc(ctx, USAGE_LINES_MAX * sizeof *ev.lines);
	if (ev.lines == NULL)
		return ins_fail(ctx, INS_ENOMEM, "out of memory");
	r = prepare(ctx, m, event, ins_user_id(ctx), &ev);
	if (r == 0)
		r = store_call(ctx, m, &ev, &ret[0]);
	if (r == 0)
		r = announce(ctx, &ev, event, &ret[1]);
	if (r == 0)
		store_count(m, &ev, OUTCOME_ACCEPTED); /* if the caller's batch commits */
	return r;
}

int
meter_record(ins_ctx *ctx, void *self, const json_t *event)
{
	struct metering *m = self;
	struct waiter *w = waiter_new(ctx, event);
	ins_call call;
	int r;

	if (w == NULL)
		return ins_fail(ctx, INS_ENOMEM, "out of memory");
	r = prepare(ctx, m, event, w->subject, &w->ev);
	if (r == 0)
		r = announce(ctx, &w->ev, event, &call);
	if (r == 0)
		r = waiter_call(w, &call);
	if (r == 0)
		r = join_store(ctx, m, w);
	if (r == 0 && w->outcome == OUTCOME_CONFLICT)
		r = ins_fail(ctx, INS_ECONFLICT, "another usage event has the id %.200s", w->ev.id);
	else if (r == 0)
		r = w->outcome == OUTCOME_ACCEPTED;
	waiter_unref(w);
	return r;
}
