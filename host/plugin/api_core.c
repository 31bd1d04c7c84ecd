/* api_core.c: memory, errors, log lines, who and when. Loops, in the task of the ctx; the functions
 * of an ins_host on the control thread, in init (logging: anywhere). */
#include "base/json.h"
#include "base/log.h"
#include "base/metric.h"
#include "plugin/api.h"
#include "plugin/request.h"

static void *
core_alloc(ins_ctx *ctx, size_t n)
{
	CHECK_OBJ(ctx, TASK_MAGIC);
	return arena_alloc(&ctx->arena, n);
}

static int
core_cleanup(ins_ctx *ctx, void (*fn)(void *), void *arg)
{
	CHECK_OBJ(ctx, TASK_MAGIC);
	return arena_cleanup(&ctx->arena, fn, arg);
}

static void *
core_host_alloc(ins_host *host, size_t n)
{
	struct instance *inst = plugin_of(host);
	void *p;

	ASSERT(inst->initing); /* the arena is not for several threads */
	p = arena_alloc(&inst->arena, n);
	ASSERT(p != NULL); /* INSTANCE_MEMORY_MAX */
	return p;
}

static int
core_fail(ins_ctx *ctx, int code, const char *text)
{
	return task_fail(ctx, code, "%s", text);
}

static const char *
core_copy(ins_ctx *ctx, const char *text)
{
	return text == NULL ? NULL : arena_strdup(&ctx->arena, text);
}

static void
core_detail(ins_ctx *ctx, const char *text)
{
	CHECK_OBJ(ctx, TASK_MAGIC);
	ctx->err_detail = core_copy(ctx, text);
}

static void
core_hint(ins_ctx *ctx, const char *text)
{
	CHECK_OBJ(ctx, TASK_MAGIC);
	ctx->err_hint = core_copy(ctx, text);
}

static void
core_field(ins_ctx *ctx, const char *path)
{
	CHECK_OBJ(ctx, TASK_MAGIC);
	ctx->err_field = core_copy(ctx, path);
}

static void
core_log(ins_ctx *ctx, int level, const char *event, json_t *fields)
{
	task_log(ctx, level, event, fields);
}

static int
core_host_fail(ins_host *host, const char *option, const char *text)
{
	struct instance *inst = plugin_of(host);
	char path[CONF_PATH_MAX];

	snprintf(path, sizeof path, "%s%s%s", inst->entry->path, option != NULL ? ".config." : "",
	    option != NULL ? option : "");
	if (inst->error[0] == '\0')
		conf_error(&inst->conf->doc, path, inst->error, "%s", text);
	return -INS_EINVAL;
}

static void
core_host_log(ins_host *host, int level, const char *event, json_t *fields)
{
	json_t *all = json_pack("{s:s}", "plugin", plugin_of(host)->name);

	if (fields != NULL)
		json_object_update(all, fields);
	json_decref(fields);
	log_event(level, event, all);
}

static const char *
core_tenant_id(ins_ctx *ctx)
{
	return ctx->tenant_id;
}

static const char *
core_user_id(ins_ctx *ctx)
{
	return ctx->user_id;
}

static const char *
core_plan(ins_ctx *ctx)
{
	return ctx->plan;
}

static const char *
core_request_id(ins_ctx *ctx)
{
	return ctx->request_id;
}

static const char *
core_traceparent(ins_ctx *ctx)
{
	return ctx->traceparent;
}

static int
core_allowed(ins_ctx *ctx, const char *permission)
{
	return request_permitted(ctx->permissions, permission);
}

static int
core_json_parse(ins_ctx *ctx, const char *p, size_t n, json_t **ret)
{
	char err[JSON_ERR_MAX];

	*ret = json_parse(p, n, err);
	return *ret != NULL ? 0 : task_fail(ctx, INS_EINVAL, "not valid JSON: %s", err);
}

static const char *
core_last_error(ins_ctx *ctx)
{
	return ctx->err_text != NULL ? ctx->err_text : "";
}

static void
core_clear_error(ins_ctx *ctx)
{
	task_clear_error(ctx);
}

static void
core_retry_after(ins_ctx *ctx, int64_t seconds)
{
	ctx->err_retry_s = seconds < 1 ? 1 : seconds > 3600 ? 3600 : seconds;
}

const ins_core_api api_core = {
	.size = sizeof(ins_core_api),
	.alloc = core_alloc,
	.cleanup = core_cleanup,
	.host_alloc = core_host_alloc,
	.fail = core_fail,
	.detail = core_detail,
	.hint = core_hint,
	.field = core_field,
	.log = core_log,
	.host_fail = core_host_fail,
	.host_log = core_host_log,
	.tenant_id = core_tenant_id,
	.user_id = core_user_id,
	.plan = core_plan,
	.request_id = core_request_id,
	.traceparent = core_traceparent,
	.allowed = core_allowed,
	.now_us = base_now_us,
	.mono_us = base_mono_us,
	.uuid7 = base_uuid7,
	.json_parse = core_json_parse,
	.last_error = core_last_error,
	.clear_error = core_clear_error,
	.retry_after = core_retry_after,
};

/* ---- metrics ---- */

static ins_metric *
metric_make(
    ins_host *host, enum metric_type type, const char *name, const char *help, const char *label)
{
	ins_metric *m = metric_get(type, name, help, label);

	if (m == NULL)
		core_host_fail(host, NULL,
		    "a metric's name is not valid, or taken with another type or label");
	return m;
}

static ins_metric *
metric_counter(ins_host *host, const char *name, const char *help, const char *label)
{
	return metric_make(host, METRIC_COUNTER, name, help, label);
}

static ins_metric *
metric_gauge(ins_host *host, const char *name, const char *help)
{
	return metric_make(host, METRIC_GAUGE, name, help, NULL);
}

static ins_metric *
metric_histogram(ins_host *host, const char *name, const char *help)
{
	return metric_make(host, METRIC_HISTOGRAM, name, help, NULL);
}

const ins_metric_api api_metric = {
	.size = sizeof(ins_metric_api),
	.counter = metric_counter,
	.gauge = metric_gauge,
	.histogram = metric_histogram,
	.add = metric_add,
	.observe = metric_observe,
};
