/*
 * api_engine.c: for the run engine: the run tables of the tenants that a batch names, and tasks
 * inside a named tenant. The role behind it may touch those tables and nothing else.
 */
#include <unistd.h>

#include "data/bus.h"
#include "data/pg.h"
#include "data/relay.h"
#include "plugin/api.h"

static char host_id[128], boot_id[37];

void
api_engine_init(void)
{
	const char *given = getenv("INSULA_HOST_ID");

	if (given != NULL && *given != '\0')
		snprintf(host_id, sizeof host_id, "%s", given);
	else if (gethostname(host_id, sizeof host_id - 1) != 0)
		snprintf(host_id, sizeof host_id, "unnamed");
	base_uuid7(boot_id);
}

static int
engine_batch(ins_ctx *ctx, const char *const *tenants, size_t n_tenants, const ins_call *calls,
    size_t n, ins_rows **ret_rows)
{
	char *list, *p;
	size_t i;

	CHECK_OBJ(ctx, TASK_MAGIC);
	list = p = arena_alloc(&ctx->arena, n_tenants * 37 + 3);
	if (list == NULL)
		return task_fail(ctx, INS_ENOMEM, "too many tenants in one batch");
	*p++ = '{';
	for (i = 0; i < n_tenants; i++) {
		if (strlen(tenants[i]) != 36 ||
		    tenants[i][strspn(tenants[i], "0123456789abcdef-")] != '\0')
			return task_fail(ctx, INS_EINTERNAL, "a tenant of the batch is not a uuid");
		if (i != 0)
			*p++ = ',';
		memcpy(p, tenants[i], 36);
		p += 36;
	}
	*p = '}';
	return pg_batch(ctx, PG_ENGINE, list, NULL, calls, n, ret_rows);
}

static int
engine_spawn(ins_ctx *ctx, ins_host *host, const ins_principal *who, const char *name,
    ins_task_fn fn, void *arg)
{
	return api_spawn_in(ctx, host, who, name, fn, arg);
}

static const char *
engine_host_id(void)
{
	return host_id;
}

static const char *
engine_boot_id(void)
{
	return boot_id;
}

static int
engine_relay_publish(ins_host *host, const char *subject, ins_str data)
{
	return relay_publish(subject, data.p, data.n);
}

static ins_relay *
engine_relay_open(ins_host *host, ins_loop *loop, const char *subject, ins_relay_fn fn, void *arg)
{
	struct instance *inst = plugin_of(host);
	struct ins_relay *r = relay_open(loop, subject, fn, arg, inst);

	if (r != NULL)
		inst->loops[loop->index].n_relays++;
	return r;
}

static void
engine_relay_close(ins_relay *r)
{
	struct instance *inst;

	if (r == NULL)
		return;
	inst = relay_owner(r);
	CHECK_OBJ(inst, INSTANCE_MAGIC);
	inst->loops[relay_loop(r)->index].n_relays--;
	relay_close(r);
}

static void
engine_cancel(ins_ctx *ctx)
{
	CHECK_OBJ(ctx, TASK_MAGIC);
	task_cancel(ctx, INS_ECANCELED);
}

const ins_engine_api api_engine = {
	.size = sizeof(ins_engine_api),
	.batch = engine_batch,
	.spawn = engine_spawn,
	.event = outbox_event,
	.host_id = engine_host_id,
	.boot_id = engine_boot_id,
	.relay_publish = engine_relay_publish,
	.relay_open = engine_relay_open,
	.relay_close = engine_relay_close,
	.cancel = engine_cancel,
};
