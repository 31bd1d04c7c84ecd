/*
 * api_task.c: tasks, conditions, services. Loops.
 *
 * A request, a delivery and a child hold the generation that served when they began. A background
 * task lives longer than any: it holds none until it asks for a service, and each time it asks, its
 * hold moves to the generation that serves now. That is safe because a service pointer may not be
 * kept from one ask to the next.
 */
#include "base/err.h"
#include "base/log.h"
#include "plugin/api.h"
#include "plugin/gen.h"
#include "plugin/owner.h"
#include "plugin/trace.h"

static int
api_sleep(ins_ctx *ctx, int64_t ms)
{
	return task_sleep(ctx, ms);
}

static int
api_cancelled(ins_ctx *ctx)
{
	return ctx->canceled;
}

static int
api_spawn(ins_host *host, ins_loop *loop, const char *name, ins_task_fn fn, void *arg)
{
	return plugin_spawn(plugin_of(host), loop, name, fn, arg);
}

/* Which generation a new task of inst holds: the serving one if inst is in it, else its maker's. */
static struct gen *
api_gen_for(struct ins_ctx *maker, struct instance *inst)
{
	struct gen *g = gen_current(maker->loop);

	if (gen_member(g, inst) != NULL)
		return g;
	return gen_member(maker->gen, inst) != NULL ? maker->gen : NULL;
}

struct child_begin {
	struct ins_ctx *maker;
	struct instance *inst;
	struct gen *gen;
	const ins_principal *who; /* NULL: the maker's */
	ins_task_fn fn;
	void *arg;
};

static void
child_setup(struct ins_ctx *ctx, void *arg)
{
	const struct child_begin *b = arg;

	ctx->fn = b->fn;
	ctx->arg = b->arg;
	ctx->inst = b->inst;
	gen_hold(ctx, b->gen);
	memcpy(ctx->request_id, b->maker->request_id, sizeof ctx->request_id);
	memcpy(ctx->traceparent, b->maker->traceparent, sizeof ctx->traceparent);
	if (b->who != NULL) {
		api_set_principal(ctx, b->who);
		return;
	}
	memcpy(ctx->tenant_id, b->maker->tenant_id, sizeof ctx->tenant_id);
	memcpy(ctx->user_id, b->maker->user_id, sizeof ctx->user_id);
	memcpy(ctx->plan, b->maker->plan, sizeof ctx->plan);
	ctx->permissions = arena_strdup(&ctx->arena, b->maker->permissions);
	if (ctx->permissions == NULL)
		ctx->permissions = "";
}

static void
child_end(struct ins_ctx *ctx, int result)
{
	if (result < 0 && !ctx->canceled)
		task_log(ctx, INS_LOG_ERROR, "task.failed",
		    json_pack("{s:s, s:s, s:s*, s:s*}", "task", ctx->name, "code",
			err_info(result)->name, "error", ctx->err_text, "detail", ctx->err_detail));
	gen_drop(ctx);
}

int
api_spawn_in(struct ins_ctx *maker, ins_host *host, const ins_principal *who, const char *name,
    ins_task_fn fn, void *arg)
{
	struct child_begin b = { maker, plugin_of(host), NULL, who, fn, arg };

	b.gen = api_gen_for(maker, b.inst);
	if (b.gen == NULL)
		return -INS_ECANCELED; /* the instance is on its way out */
	return task_new_later(name, NULL, &b, child_setup, child_end) == NULL ? -INS_ELIMIT : 0;
}

static int
api_spawn_child(ins_ctx *ctx, ins_host *host, const char *name, ins_task_fn fn, void *arg)
{
	return api_spawn_in(ctx, host, NULL, name, fn, arg);
}

/* A condition, as the plugin sees it, is one with an owner: owner.h. */
static ins_cond *
api_cond_new(ins_loop *loop)
{
	return (ins_cond *)(void *)owner_cond_new(loop, plugin_calling());
}

static void
api_cond_free(ins_cond *cond)
{
	owner_cond_free((struct owner_cond *)(void *)cond);
}

static int
api_cond_wait(ins_ctx *ctx, ins_cond *cond, int64_t ms)
{
	return cond_wait(ctx, ((struct owner_cond *)(void *)cond)->cond, ms);
}

static void
api_cond_broadcast(ins_cond *cond)
{
	cond_broadcast(((struct owner_cond *)(void *)cond)->cond);
}

static ins_loop *
api_loop(ins_ctx *ctx)
{
	return ctx->loop;
}

static uint32_t
api_loop_index(ins_loop *loop)
{
	return (uint32_t)loop->index;
}

static uint32_t
api_loop_count(ins_host *host)
{
	return loop_count();
}

static void *
api_local(ins_ctx *ctx, ins_host *host)
{
	return plugin_of(host)->loops[ctx->loop->index].local;
}

const ins_task_api api_task = {
	.size = sizeof(ins_task_api),
	.sleep = api_sleep,
	.deadline = task_deadline,
	.cancelled = api_cancelled,
	.spawn = api_spawn,
	.spawn_child = api_spawn_child,
	.blocking = task_blocking,
	.cond_new = api_cond_new,
	.cond_free = api_cond_free,
	.cond_wait = api_cond_wait,
	.cond_broadcast = api_cond_broadcast,
	.loop = api_loop,
	.loop_index = api_loop_index,
	.loop_count = api_loop_count,
	.local = api_local,
};

/* ---- services ---- */

static int
service_provide(ins_host *host, const char *iface, const char *name, const void *vtable)
{
	struct instance *inst = plugin_of(host);
	struct svc_offer *o;

	if (!inst->initing || iface == NULL || name == NULL || vtable == NULL)
		return api_core.host_fail(host, NULL, "ins_provide: in init, and nothing NULL");
	if (inst->n_offers == SVC_OFFERS_MAX)
		return api_core.host_fail(host, NULL, "too many services");
	o = arena_alloc(&inst->arena, sizeof *o);
	AN(o);
	o->iface = arena_strdup(&inst->arena, iface);
	o->name = arena_strdup(&inst->arena, name);
	o->vtable = vtable;
	inst->n_offers++;
	*inst->offers_tail = o;
	inst->offers_tail = &o->next;
	return 0;
}

static const void *
service_get(ins_ctx *ctx, ins_host *host, uint32_t need, uint32_t i, const char **ret_name)
{
	struct instance *inst = plugin_of(host);
	const struct gen_member *m;
	struct gen *now;

	CHECK_OBJ(ctx, TASK_MAGIC);
	/* Only the task's own plugin may move its hold: further in, a caller's pointer is in use.
	 */
	if (ctx->background && ctx->inst == inst) {
		now = gen_current(ctx->loop);
		if (now != ctx->gen && gen_member(now, inst) != NULL) {
			gen_drop(ctx);
			gen_hold(ctx, now);
		}
	}
	m = gen_member(ctx->gen, inst);
	if (m == NULL || need >= m->n_slots || i >= m->slots[need].n)
		return NULL;
	if (ret_name != NULL)
		*ret_name = m->slots[need].offers[i]->name;
	return m->slots[need].offers[i]->vtable;
}

const ins_service_api api_service = {
	.size = sizeof(ins_service_api),
	.provide = service_provide,
	.get = service_get,
};
