/*
 * outbox_event.c: the call that makes a business event, to stand in the transaction which causes
 * it. Loops. Knows no connection and no bus, so that the SDK's mock host has the same envelopes.
 */
#include <pthread.h>
#include <time.h>

#include "base/json.h"
#include "data/bus.h"
#include "data/pg.h"
#include "net/http.h"

#define EVENT_TYPE_MAX 128

static const char sql_insert[] =
    "INSERT INTO outbox (tenant_id, event_id, subject, envelope) VALUES ($1::uuid, $2, $3, "
    "$4::json)";

static struct ins_stmt *insert;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void
setup(void)
{
	char err[160];

	insert = pg_stmt_new(sql_insert, err);
	AN(insert);
}

struct ins_stmt *
outbox_insert(void)
{
	AZ(pthread_once(&once, setup));
	return insert;
}

/* Lower-case words with dots between: it becomes part of a subject, where * and > mean more. */
static int
type_valid(const char *z)
{
	size_t i, n = strlen(z);

	if (n == 0 || n > EVENT_TYPE_MAX || z[0] == '.' || z[n - 1] == '.')
		return 0;
	for (i = 0; i < n; i++)
		if ((z[i] == '.' && z[i + 1] == '.') ||
		    strchr("abcdefghijklmnopqrstuvwxyz0123456789_.-", z[i]) == NULL)
			return 0;
	return 1;
}

static json_t *
text_or_null(const char *p, size_t n)
{
	json_t *j = p == NULL || n == 0 ? NULL : json_stringn(p, n);

	return j == NULL ? json_null() : j; /* invalid UTF-8, too */
}

static json_t *
text_or_null_z(const char *z)
{
	return text_or_null(z, z == NULL ? 0 : strlen(z));
}

static json_t *
metadata(struct ins_ctx *ctx)
{
	ins_str agent = { NULL, 0 };
	const char *source = NULL, *ip = NULL;

	if (ctx->inst != NULL && task_plugin_name != NULL)
		source = task_plugin_name(ctx->inst);
	if (ctx->http != NULL) {
		ip = ctx->http->remote;
		if (!ctx->http->gone)
			agent = http_header(ctx->http, "user-agent");
	}
	return json_pack("{s:s, s:o, s:o, s:i, s:o}", "source", source == NULL ? "insula" : source,
	    "user_agent", text_or_null(agent.p, agent.n > 512 ? 512 : agent.n), "ip_address",
	    text_or_null_z(ip), "schema", 1, "traceparent", text_or_null_z(ctx->traceparent));
}

static void
timestamp(char out[40])
{
	int64_t us = base_now_us();
	time_t t = (time_t)(us / 1000000);
	struct tm tm;
	size_t n;

	gmtime_r(&t, &tm);
	n = strftime(out, 40, "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(out + n, 40 - n, ".%06dZ", (int)(us % 1000000));
}

/* What is written here is read by json_parse(), which takes no U+0000. Rarely looked at closely: an
 * escaped backslash may stand before "u0000". */
static int
readable(const char *p, size_t n)
{
	char err[160];
	json_t *j;

	if (memmem(p, n, "\\u0000", 6) == NULL)
		return 1;
	j = json_parse(p, n, err);
	json_decref(j);
	return j != NULL;
}

int
outbox_event(struct ins_ctx *ctx, const ins_principal *who, const char *event_type,
    const char *run_id, const char *workflow, const char *tier, const json_t *payload,
    ins_call *ret)
{
	const char *tenant = who != NULL ? who->tenant_id : ctx->tenant_id;
	const char *user = who != NULL ? who->user_id : ctx->user_id;
	char uuid[37], id[48], when[40];
	ins_arg *args;
	json_t *j;
	size_t n;
	char *p;

	if (event_type == NULL || !type_valid(event_type))
		return task_fail(ctx, INS_EINTERNAL, "an event has a malformed type");
	if (tenant == NULL || tenant[0] == '\0')
		return task_fail(ctx, INS_EINTERNAL, "an event has no tenant");
	base_uuid7(uuid);
	snprintf(id, sizeof id, "evt_%s", uuid);
	timestamp(when);
	j = json_pack("{s:s, s:s, s:s, s:s, s:o, s:o, s:o, s:o, s:o, s:o}", "event_type",
	    event_type, "event_id", id, "timestamp", when, "tenant_id", tenant, "user_id",
	    text_or_null_z(user), "run_id", text_or_null_z(run_id), "workflow",
	    text_or_null_z(workflow), "tier", text_or_null_z(tier), "metadata", metadata(ctx),
	    "payload", payload == NULL ? json_object() : json_incref((json_t *)(uintptr_t)payload));
	n = j == NULL ? 0 : json_dumpb(j, NULL, 0, JSON_COMPACT);
	if (n == 0 || n > OUTBOX_EVENT_MAX) {
		json_decref(j);
		return n == 0 ? task_fail(ctx, INS_EINTERNAL, "an event could not be encoded")
			      : task_fail(ctx, INS_ETOOBIG, "an event has more than %u KiB",
				    OUTBOX_EVENT_MAX >> 10);
	}
	args = arena_alloc(&ctx->arena, 4 * sizeof *args);
	p = arena_alloc(&ctx->arena, n + 1);
	if (args != NULL && p != NULL) {
		json_dumpb(j, p, n, JSON_COMPACT);
		args[0] = ins_text(arena_strdup(&ctx->arena, tenant));
		args[1] = ins_text(arena_strdup(&ctx->arena, id));
		args[2] = ins_text(arena_printf(&ctx->arena, "t.%s.%s", tenant, event_type));
		args[3].p = p;
		args[3].n = n;
	}
	json_decref(j);
	if (args == NULL || p == NULL || args[0].p == NULL || args[1].p == NULL ||
	    args[2].p == NULL)
		return task_fail(ctx, INS_ENOMEM, "the task's memory is used up");
	if (!readable(p, n))
		return task_fail(ctx, INS_EINVAL, "an event's payload holds U+0000");
	ret->stmt = outbox_insert();
	ret->args = args;
	ret->n_args = 4;
	return 0;
}
