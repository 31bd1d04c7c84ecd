/*
 * api_bus.c: business events out (outbox calls) and in (subscriptions).
 *
 * A delivery is a task on one loop, inside the tenant of its envelope, and holds the generation
 * that serves there. The message is acknowledged by the handler's return alone. A delivery that
 * finds no room or no generation with its plugin goes back to the bus, which brings it again; that
 * is no try.
 */
#include "base/err.h"
#include "base/log.h"
#include "data/bus.h"
#include "plugin/api.h"
#include "plugin/gen.h"
#include "plugin/trace.h"

static int
bus_event(ins_ctx *ctx, const char *event_type, const char *run_id, const char *workflow,
    const char *tier, const json_t *payload, ins_call *ret)
{
	return outbox_event(ctx, NULL, event_type, run_id, workflow, tier, payload, ret);
}

static int
bus_subscribe_in_init(ins_host *host, const char *event_type, ins_delivery_fn fn)
{
	struct instance *inst = plugin_of(host);
	struct plugin_sub *s;
	char *p;

	if (!inst->initing || event_type == NULL || fn == NULL || inst->n_subs == INSTANCE_SUBS_MAX)
		return api_core.host_fail(
		    host, NULL, "ins_subscribe: in init only, and not so many");
	s = arena_alloc(&inst->arena, sizeof *s);
	AN(s);
	s->event_type = arena_strdup(&inst->arena, event_type);
	/* Dots part the subject's tokens; a durable's name may not hold them. */
	p = arena_printf(&inst->arena, "%s-%s", inst->name, event_type);
	s->durable = p;
	for (; *p != '\0'; p++)
		if (*p == '.')
			*p = '_';
	s->fn = fn;
	s->inst = inst;
	s->next = inst->subs;
	inst->subs = s;
	inst->n_subs++;
	return 0;
}

const ins_bus_api api_bus = {
	.size = sizeof(ins_bus_api),
	.event = bus_event,
	.subscribe = bus_subscribe_in_init,
};

struct delivery {
	const struct plugin_sub *sub;
	struct gen *gen;
	json_t *envelope;
	void *token;
};

static void
delivery_copy(char *dst, size_t size, const json_t *envelope, const char *key)
{
	const char *z = json_string_value(json_object_get(envelope, key));

	snprintf(dst, size, "%s", z != NULL ? z : "");
}

static void
delivery_setup(struct ins_ctx *ctx, void *arg)
{
	struct delivery *begin = arg, *d;
	const char *trace = json_string_value(
	    json_object_get(json_object_get(begin->envelope, "metadata"), "traceparent"));

	d = arena_alloc(&ctx->arena, sizeof *d);
	AN(d);
	*d = *begin;
	ctx->arg = d;
	ctx->inst = d->sub->inst;
	gen_hold(ctx, d->gen);
	delivery_copy(ctx->tenant_id, sizeof ctx->tenant_id, d->envelope, "tenant_id");
	delivery_copy(ctx->user_id, sizeof ctx->user_id, d->envelope, "user_id");
	delivery_copy(ctx->request_id, sizeof ctx->request_id, d->envelope, "event_id");
	trace_make(trace, trace != NULL ? strlen(trace) : 0, ctx->traceparent);
}

static int
delivery_run(struct ins_ctx *ctx, void *arg)
{
	const struct delivery *d = arg;

	return d->sub->fn(ctx, d->sub->inst->self, d->envelope);
}

static void
delivery_end(struct ins_ctx *ctx, int result)
{
	struct delivery *d = ctx->arg;
	const char *why = ctx->err_text != NULL ? ctx->err_text : err_info(result)->name;

	if (result < 0 && !ctx->canceled)
		task_log(ctx, INS_LOG_WARN, "delivery.failed",
		    json_pack("{s:s, s:s, s:s*}", "event_type", d->sub->event_type, "error", why,
			"detail", ctx->err_detail));
	json_decref(d->envelope);
	bus_done(d->token, result, result < 0 ? why : NULL);
	gen_drop(ctx);
}

void
api_bus_deliver(struct ins_loop *loop, void *user, json_t *envelope, void *token)
{
	struct delivery d = { user, gen_current(loop), envelope, token };

	if (d.gen != NULL && gen_member(d.gen, d.sub->inst) != NULL &&
	    task_new(d.sub->event_type, delivery_run, &d, delivery_setup, delivery_end) != NULL)
		return;
	json_decref(envelope);
	bus_return(token);
}

void
api_bus_subscribe(struct instance *inst)
{
	struct plugin_sub *s;

	for (s = inst->subs; s != NULL; s = s->next)
		s->sub = bus_subscribe(s->durable, s->event_type, api_bus_deliver, s);
}

void
api_bus_unsubscribe(struct instance *inst)
{
	struct plugin_sub *s;

	for (s = inst->subs; s != NULL; s = s->next)
		if (s->sub != NULL) {
			bus_unsubscribe(s->sub);
			s->sub = NULL;
		}
}
