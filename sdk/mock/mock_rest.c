/* mock_rest.c: metrics and log lines as the test reads them, and what the mock does not offer,
 * which fails with a sentence that says so. */
#include <unistd.h>

#include "base/metric.h"
#include "child/child.h"
#include "plugin/ws.h"
#include "sdk/mock/mock_impl.h"
#include "tenant/tenant.h"

#define METRICS_TEXT_MAX ((size_t)4 << 20)

double
ins_mock_metric(ins_mock *m, const char *name)
{
	size_t n = strlen(name);
	const char *p;
	double v = 0;
	struct str s;

	str_init(&s, METRICS_TEXT_MAX);
	metric_render(&s);
	for (p = s.p; p != NULL && *p != '\0'; p += strcspn(p, "\n"), p += *p == '\n')
		if (strncmp(p, name, n) == 0 && p[n] == ' ') {
			v = strtod(p + n + 1, NULL);
			break;
		}
	str_fini(&s);
	return v;
}

const char *
ins_mock_log(ins_mock *m)
{
	off_t n = lseek(m->log_fd, 0, SEEK_END);
	ssize_t got;

	ASSERT(n >= 0);
	m->log = base_realloc(m->log, (size_t)n + 1);
	got = pread(m->log_fd, m->log, (size_t)n, 0);
	m->log[got < 0 ? 0 : got] = '\0';
	return m->log;
}

int
mock_not_offered(struct ins_ctx *ctx, const char *what)
{
	return task_fail(ctx, INS_EUNAVAILABLE, "the mock does not offer %s", what);
}

int
child_run(struct ins_ctx *ctx, const char *tool, const char *arg, ins_str input, int64_t timeout_ms,
    ins_str *ret)
{
	return mock_not_offered(ctx, "ins_child_run");
}

int
tenant_key_lookup(struct ins_ctx *ctx, const char *public_id, ins_key_row *ret)
{
	return mock_not_offered(ctx, "ins_key_lookup");
}

int
tenant_lookup(
    struct ins_ctx *ctx, const char *tenant_id, const char **ret_plan, const char **ret_status)
{
	return mock_not_offered(ctx, "ins_tenant_lookup");
}

int
ws_handshake(struct ins_ctx *ctx, const struct plugin_route *route)
{
	return mock_not_offered(ctx, "WebSocket");
}

/* ---- INS_CAP_ENGINE ---- */

static int
engine_batch(ins_ctx *ctx, const char *const *tenants, size_t n_tenants, const ins_call *calls,
    size_t n, ins_rows **ret_rows)
{
	return mock_not_offered(ctx, "ins_engine_batch");
}

static int
engine_spawn(ins_ctx *ctx, ins_host *host, const ins_principal *who, const char *name,
    ins_task_fn fn, void *arg)
{
	return mock_not_offered(ctx, "ins_engine_spawn");
}

static int
engine_event(ins_ctx *ctx, const ins_principal *who, const char *event_type, const char *run_id,
    const char *workflow, const char *tier, const json_t *payload, ins_call *ret)
{
	return mock_not_offered(ctx, "ins_engine_event");
}

static const char *
engine_id(void)
{
	return "mock";
}

static int
engine_relay_publish(ins_host *host, const char *subject, ins_str data)
{
	return -INS_EUNAVAILABLE;
}

static ins_relay *
engine_relay_open(ins_host *host, ins_loop *loop, const char *subject, ins_relay_fn fn, void *arg)
{
	return NULL;
}

static void
engine_relay_close(ins_relay *relay)
{
}

static void
engine_cancel(ins_ctx *ctx)
{
	task_cancel(ctx, INS_ECANCELED);
}

const ins_engine_api mock_engine = {
	.size = sizeof(ins_engine_api),
	.batch = engine_batch,
	.spawn = engine_spawn,
	.event = engine_event,
	.host_id = engine_id,
	.boot_id = engine_id,
	.relay_publish = engine_relay_publish,
	.relay_open = engine_relay_open,
	.relay_close = engine_relay_close,
	.cancel = engine_cancel,
};
