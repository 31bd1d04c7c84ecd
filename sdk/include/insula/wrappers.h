/*
 * wrappers.h: the functions that plugin code calls. Included by insula.h; never include it alone.
 *
 * Each is a static-inline call through a capability table. Formatting happens here, in the plugin,
 * so that no varargs cross the ABI.
 */
#ifndef INSULA_WRAPPERS_H
#define INSULA_WRAPPERS_H

/* ---------------------------------------------------------------- memory */

/* Zeroed memory that ends with the task. NULL past the task's limit (4 MiB by default, and then the
 * body's size); return -INS_ENOMEM in that case. */
static inline void *
ins_alloc(ins_ctx *ctx, size_t n)
{
	return ins_api_->core->alloc(ctx, n);
}

/* A NUL-terminated copy of n bytes, in the task's arena; NULL past the limit. */
static inline char *
ins_strndup(ins_ctx *ctx, const char *p, size_t n)
{
	char *z = (char *)ins_alloc(ctx, n + 1);

	if (z != NULL)
		memcpy(z, p, n);
	return z;
}

/* printf into the task's arena; NULL past the limit. */
static inline char *INS_PRINTF(2, 3) ins_printf(ins_ctx *ctx, const char *fmt, ...)
{
	va_list ap;
	char *z;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	z = n < 0 ? NULL : (char *)ins_alloc(ctx, (size_t)n + 1);
	if (z != NULL) {
		va_start(ap, fmt);
		vsnprintf(z, (size_t)n + 1, fmt, ap);
		va_end(ap);
	}
	return z;
}

/* Runs fn(arg) when the task ends, last registered first. -INS_ENOMEM past the limit. */
static inline int
ins_cleanup(ins_ctx *ctx, void (*fn)(void *), void *arg)
{
	return ins_api_->core->cleanup(ctx, fn, arg);
}

/* Zeroed memory of the instance: init only; the host frees it after fini. Never NULL. */
static inline void *
ins_new(ins_host *host, size_t n)
{
	return ins_api_->core->host_alloc(host, n);
}

/* A copy in the instance's memory. Strings inside a conf already live as long as the instance. */
static inline void *
ins_dup(ins_host *host, const void *p, size_t n)
{
	return memcpy(ins_new(host, n), p, n);
}

/* ---------------------------------------------------------------- errors and log lines */

/* Fails the task: sets the text that the client reads (the first call wins) and returns -code. */
static inline int INS_PRINTF(3, 4) ins_fail(ins_ctx *ctx, int code, const char *fmt, ...)
{
	char text[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	return ins_api_->core->fail(ctx, code, text);
}

/* Adds what only the log should say. */
static inline void INS_PRINTF(2, 3) ins_detail(ins_ctx *ctx, const char *fmt, ...)
{
	char text[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	ins_api_->core->detail(ctx, text);
}

/* Adds advice to the client's text. */
static inline void
ins_hint(ins_ctx *ctx, const char *text)
{
	ins_api_->core->hint(ctx, text);
}

/* Names the part of the input at fault ("messages[0].role"): `param` of the error body. */
static inline void
ins_field(ins_ctx *ctx, const char *path)
{
	ins_api_->core->field(ctx, path);
}

/* The client's text of the failure so far, "" if none; and forgetting it, for code that tried and
 * goes on. */
static inline const char *
ins_last_error(ins_ctx *ctx)
{
	return ins_api_->core->last_error(ctx);
}
static inline void
ins_clear_error(ins_ctx *ctx)
{
	ins_api_->core->clear_error(ctx);
}

/* When it makes sense to try again, with a failure of 429 or 503 (INS_ELIMIT, INS_EUNAVAILABLE):
 * the Retry-After of the error answer, 1 .. 3,600 s. Without it the host says 1. Forgotten with
 * ins_clear_error. */
static inline void
ins_retry_after(ins_ctx *ctx, int64_t seconds)
{
	ins_api_->core->retry_after(ctx, seconds);
}

/* One JSON log line; request, trace, tenant and plugin are added. Steals `fields` (an object, or
 * NULL): ins_log(ctx, INS_LOG_INFO, "key.rotated", json_pack("{s:s}", "kid", kid)). */
static inline void
ins_log(ins_ctx *ctx, int level, const char *event, json_t *fields)
{
	ins_api_->core->log(ctx, level, event, fields);
}

/* The same outside a task (init, start, stop). */
static inline void
ins_host_log(ins_host *host, int level, const char *event, json_t *fields)
{
	ins_api_->core->host_log(host, level, event, fields);
}

/* A configuration error found in init: `option` is its path below this plugin's config
 * ("keys[0].alg", or NULL); the host adds file and line. Returns -INS_EINVAL. */
static inline int INS_PRINTF(3, 4)
    ins_conf_error(ins_host *host, const char *option, const char *fmt, ...)
{
	char text[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	return ins_api_->core->host_fail(host, option, text);
}

/* ---------------------------------------------------------------- who, and when */

/* The tenant of the ctx (uuid text), the user or key within it, and its plan. "" where there is
 * none: a background task or a public route. Valid as long as the task. */
static inline const char *
ins_tenant_id(ins_ctx *ctx)
{
	return ins_api_->core->tenant_id(ctx);
}
static inline const char *
ins_user_id(ins_ctx *ctx)
{
	return ins_api_->core->user_id(ctx);
}
static inline const char *
ins_plan(ins_ctx *ctx)
{
	return ins_api_->core->plan(ctx);
}

/* This request's id, and its W3C traceparent to send on. */
static inline const char *
ins_request_id(ins_ctx *ctx)
{
	return ins_api_->core->request_id(ctx);
}
static inline const char *
ins_traceparent(ins_ctx *ctx)
{
	return ins_api_->core->traceparent(ctx);
}

/* 1 if the caller holds the permission ("documents:write"), else 0. The route's own permission was
 * checked already. */
static inline int
ins_allowed(ins_ctx *ctx, const char *permission)
{
	return ins_api_->core->allowed(ctx, permission);
}

/* Microseconds since 1970 (UTC), and on a clock that never jumps. */
static inline int64_t
ins_now_us(void)
{
	return ins_api_->core->now_us();
}
static inline int64_t
ins_mono_us(void)
{
	return ins_api_->core->mono_us();
}

/* A time-ordered uuid (RFC 9562, version 7) as text. */
static inline void
ins_uuid7(char out[37])
{
	ins_api_->core->uuid7(out);
}

/* ---------------------------------------------------------------- JSON */

/* Parses n bytes with the host's caps (depth 128, no duplicate keys, valid UTF-8). On error fails
 * the task with -INS_EINVAL and the position. The caller owns *ret and lets go with json_decref, or
 * ins_json_end. */
static inline int
ins_json_parse(ins_ctx *ctx, ins_str text, json_t **ret)
{
	return ins_api_->core->json_parse(ctx, text.p, text.n, ret);
}

static inline void
ins_json_end_(void *j)
{
	json_decref((json_t *)j);
}

/* Ties one reference to the task's end and returns j: json_t *j = ins_json_end(ctx, json_object()).
 */
static inline json_t *
ins_json_end(ins_ctx *ctx, json_t *j)
{
	if (j != NULL && ins_cleanup(ctx, ins_json_end_, j) != 0) {
		json_decref(j);
		return NULL;
	}
	return j;
}

/* Compact text of j in the task's arena ({NULL, 0} past the limit). */
static inline ins_str
ins_json_text(ins_ctx *ctx, const json_t *j)
{
	ins_str s = { NULL, 0 };
	size_t n = json_dumpb(j, NULL, 0, JSON_COMPACT | JSON_ENCODE_ANY);
	char *p = n == 0 ? NULL : (char *)ins_alloc(ctx, n + 1);

	if (p != NULL) {
		json_dumpb(j, p, n, JSON_COMPACT | JSON_ENCODE_ANY);
		s.p = p;
		s.n = n;
	}
	return s;
}

/* ---------------------------------------------------------------- tasks */

/* Suspends for ms milliseconds. 0 or -INS_ECANCELED. */
INS_AWAITS
static inline int
ins_sleep(ins_ctx *ctx, int64_t ms)
{
	return ins_api_->task->sleep(ctx, ms);
}

/* Cancels this task ms milliseconds from now, unless it ends before; an earlier deadline stays. */
static inline void
ins_deadline(ins_ctx *ctx, int64_t ms)
{
	ins_api_->task->deadline(ctx, ms);
}

/* 1 once the task was cancelled. */
static inline int
ins_cancelled(ins_ctx *ctx)
{
	return ins_api_->task->cancelled(ctx);
}

/* A background task on the caller's own loop, without a tenant, from start() or later; what start()
 * asks for begins when the generation serves. Cancelled when the instance drains. -INS_ELIMIT when
 * the loop has too many tasks, -INS_ECANCELED when the instance drains. */
static inline int
ins_spawn(ins_host *host, ins_loop *loop, const char *name, ins_task_fn fn, void *arg)
{
	return ins_api_->task->spawn(host, loop, name, fn, arg);
}

/* A task of its own with ctx's tenant, user and trace, on the same loop; it outlives ctx. */
static inline int
ins_spawn_child(ins_ctx *ctx, ins_host *host, const char *name, ins_task_fn fn, void *arg)
{
	return ins_api_->task->spawn_child(ctx, host, name, fn, arg);
}

/* Runs fn(arg) on a thread of the host's small pool: for work that would hold the loop over 1 ms.
 * fn may touch arg and nothing else; arg must outlive it, also when the task is cancelled meanwhile
 * (the call waits for fn). */
INS_AWAITS
static inline int
ins_blocking(ins_ctx *ctx, void (*fn)(void *), void *arg)
{
	return ins_api_->task->blocking(ctx, fn, arg);
}

/* A condition of one loop. ins_cond_wait returns 0 when broadcast, -INS_ETIMEOUT after ms (< 0 =
 * none), -INS_ECANCELED. Freeing wakes the waiters with -INS_ECANCELED. */
static inline ins_cond *
ins_cond_new(ins_loop *loop)
{
	return ins_api_->task->cond_new(loop);
}
static inline void
ins_cond_free(ins_cond *cond)
{
	ins_api_->task->cond_free(cond);
}
INS_AWAITS
static inline int
ins_cond_wait(ins_ctx *ctx, ins_cond *cond, int64_t ms)
{
	return ins_api_->task->cond_wait(ctx, cond, ms);
}
static inline void
ins_cond_broadcast(ins_cond *cond)
{
	ins_api_->task->cond_broadcast(cond);
}

/* The loop of a task, a loop's number (0 ..), how many there are, and this instance's own state on
 * the task's loop. */
static inline ins_loop *
ins_loop_of(ins_ctx *ctx)
{
	return ins_api_->task->loop(ctx);
}
static inline uint32_t
ins_loop_index(ins_loop *loop)
{
	return ins_api_->task->loop_index(loop);
}
static inline uint32_t
ins_loop_count(ins_host *host)
{
	return ins_api_->task->loop_count(host);
}
static inline void *
ins_local(ins_ctx *ctx, ins_host *host)
{
	return ins_api_->task->local(ctx, host);
}

/* ---------------------------------------------------------------- services */

/* Offers a vtable (static, or memory of the instance) under an interface; `name` tells providers
 * apart. Init only. */
static inline int
ins_provide(ins_host *host, const char *iface, const char *name, const void *vtable)
{
	return ins_api_->service->provide(host, iface, name, vtable);
}

/* Provider i of need number `need` of this instance's descriptor, NULL when there is no such. In a
 * background task each call may give another plugin's newer version, and keeps the whole generation
 * that it comes from loaded until the next call or the task's end: do long waits elsewhere, or ask
 * again after them. */
static inline const void *
ins_service(ins_ctx *ctx, ins_host *host, uint32_t need, uint32_t i, const char **ret_name)
{
	return ins_api_->service->get(ctx, host, need, i, ret_name);
}

/* ---------------------------------------------------------------- metrics: made in init, updated
 * on any loop */

/* A counter; `label` is the one label key or NULL. At most 64 values of a label are kept, then
 * "other". */
static inline ins_metric *
ins_counter(ins_host *host, const char *name, const char *help, const char *label)
{
	return ins_api_->metric->counter(host, name, help, label);
}
static inline ins_metric *
ins_gauge(ins_host *host, const char *name, const char *help)
{
	return ins_api_->metric->gauge(host, name, help);
}
/* Seconds, in the buckets of OpenTelemetry's http.server.request.duration. */
static inline ins_metric *
ins_histogram(ins_host *host, const char *name, const char *help)
{
	return ins_api_->metric->histogram(host, name, help);
}
/* Adds n (a gauge may go down). label_value is NULL for a metric without label. */
static inline void
ins_add(ins_metric *m, const char *label_value, double n)
{
	ins_api_->metric->add(m, label_value, n);
}
static inline void
ins_observe(ins_metric *m, double seconds)
{
	ins_api_->metric->observe(m, seconds);
}

/* ---------------------------------------------------------------- HTTP (INS_CAP_HTTP) */

#define INS_PUBLIC "public" /* as a route's permission: anyone, without a credential */

/* Registers a route; init only. Pattern: "/v1/hello/{name}", a last "{rest*}" takes the rest of the
 * path. `permission` is what the caller must hold ("hello:read"); there is no default. Two routes
 * that match the same refuse the generation. */
static inline int
ins_route(ins_host *host, const char *method, const char *pattern, const char *permission,
    ins_handler handler)
{
	return ins_api_->http->route(host, method, pattern, permission, handler);
}

static inline const char *
ins_method(ins_ctx *ctx)
{
	return ins_api_->http->method(ctx);
}
/* The path without the query, percent-decoded. */
static inline const char *
ins_path(ins_ctx *ctx)
{
	return ins_api_->http->path(ctx);
}
/* A part of the route's pattern, percent-decoded; "" when the pattern has no such. */
static inline const char *
ins_param(ins_ctx *ctx, const char *name)
{
	return ins_api_->http->param(ctx, name);
}
/* The first value of a query parameter, decoded; NULL when absent. */
static inline const char *
ins_query(ins_ctx *ctx, const char *name)
{
	return ins_api_->http->query(ctx, name);
}
/* Value i (0 ..) of a query parameter that is given several times; NULL past the last. */
static inline const char *
ins_query_at(ins_ctx *ctx, const char *name, uint32_t i)
{
	return ins_api_->http->query_at(ctx, name, i);
}
/* A request header by its lower-case name; {NULL, 0} when absent. */
static inline ins_str
ins_header(ins_ctx *ctx, const char *lower_name)
{
	return ins_api_->http->header(ctx, lower_name);
}
static inline const char *
ins_remote(ins_ctx *ctx)
{
	return ins_api_->http->remote(ctx);
}
/* The whole body; at most the listener's body cap. */
static inline ins_str
ins_body(ins_ctx *ctx)
{
	return ins_api_->http->body(ctx);
}

/* The body as JSON. Fails the task with -INS_EINVAL, or -INS_EMEDIA when a Content-Type says that
 * it is something else. The reference ends with the task: *ret is borrowed. */
static inline int
ins_body_json(ins_ctx *ctx, json_t **ret)
{
	ins_str type = ins_header(ctx, "content-type");
	int r;

	*ret = NULL;
	if (type.n != 0 && (type.n < 16 || memcmp(type.p, "application/json", 16) != 0))
		return ins_fail(ctx, INS_EMEDIA, "Content-Type must be application/json, not %.*s",
		    type.n > 100 ? 100 : (int)type.n, type.p);
	r = ins_json_parse(ctx, ins_body(ctx), ret);
	if (r != 0)
		return r;
	return ins_json_end(ctx, *ret) == NULL ? -INS_ENOMEM : 0;
}

/* Adds a response header; before the reply. */
static inline int
ins_set_header(ins_ctx *ctx, const char *name, const char *value)
{
	return ins_api_->http->set_header(ctx, name, value);
}

/* Answers. The bytes are copied. Once per request: a second is -INS_EINVAL. */
static inline int
ins_reply(ins_ctx *ctx, int status, const char *ctype, const char *p, size_t n)
{
	return ins_api_->http->reply(ctx, status, ctype, p, n);
}

/* Answers with a JSON value, which it takes. */
static inline int
ins_reply_take(ins_ctx *ctx, int status, json_t *j)
{
	char *z = j == NULL ? NULL : json_dumps(j, JSON_COMPACT | JSON_ENCODE_ANY);
	int r;

	json_decref(j);
	if (z == NULL)
		return ins_fail(ctx, INS_EINTERNAL, "the answer could not be encoded");
	r = ins_reply(ctx, status, "application/json", z, strlen(z));
	free(z);
	return r;
}

/* Answers with json_pack(fmt, ...): ins_reply_json(ctx, 200, "{s:s}", "greeting", "hello"). */
static inline int
ins_reply_json(ins_ctx *ctx, int status, const char *fmt, ...)
{
	json_t *j;
	va_list ap;

	va_start(ap, fmt);
	j = json_vpack_ex(NULL, 0, fmt, ap);
	va_end(ap);
	return ins_reply_take(ctx, status, j);
}

/* Begins a streamed answer. The handler's return ends it; a negative return after this closes the
 * connection or stream without a proper end, so that no client takes a cut answer for a whole one.
 */
static inline int
ins_stream(ins_ctx *ctx, int status, const char *ctype)
{
	return ins_api_->http->stream(ctx, status, ctype);
}
/* From now on the host itself sends these bytes (at most 64, copied) whenever nothing of the answer
 * was written for ms milliseconds, so that neither client nor proxy takes a silent stream for a
 * dead one: ins_heartbeat(ctx, 15000, ins_s(": ping\n\n")). Whole frames only: it may come between
 * any two writes. */
static inline int
ins_heartbeat(ins_ctx *ctx, int64_t ms, ins_str bytes)
{
	return ins_api_->http->heartbeat(ctx, ms, bytes.p, bytes.n);
}
/* Sends bytes of a streamed answer (copied); waits while the client reads slower than we write. */
INS_AWAITS
static inline int
ins_write(ins_ctx *ctx, const char *p, size_t n)
{
	return ins_api_->http->write(ctx, p, n);
}
/* One server-sent event; event and id may be NULL; data is one line. */
INS_AWAITS
static inline int
ins_sse(ins_ctx *ctx, const char *event, const char *id, ins_str data)
{
	const char *e = event == NULL ? "" : event, *i = id == NULL ? "" : id;
	size_t n = data.n + strlen(e) + strlen(i) + 32;
	char *p = (char *)malloc(n);
	int r, len;

	if (p == NULL)
		return -INS_ENOMEM;
	len = snprintf(p, n, "%s%s%s%s%s%sdata: ", *e ? "event: " : "", e, *e ? "\n" : "",
	    *i ? "id: " : "", i, *i ? "\n" : "");
	memcpy(p + len, data.p, data.n);
	memcpy(p + len + data.n, "\n\n", 2);
	r = ins_write(ctx, p, (size_t)len + data.n + 2);
	free(p);
	return r;
}

/* ---------------------------------------------------------------- SQL (INS_CAP_DB) */

/* Registers a constant text with $1 ... parameters; init only. Refused (generation fails) when it
 * holds set_config, SET, RESET, DISCARD, DO, COPY or transaction control. Prepared once per
 * connection. */
static inline const ins_stmt *
ins_stmt_new(ins_host *host, const char *sql)
{
	return ins_api_->db->stmt(host, sql);
}

/* As ins_stmt_new(), for a text that only reads and whose answer may be a little old: what was
 * committed a moment ago may be missing. A batch of nothing but such statements is answered by the
 * standby (data.pg.read_url) when there is one that answers, else by the primary. */
static inline const ins_stmt *
ins_stmt_new_stale(ins_host *host, const char *sql)
{
	return ins_api_->db->stmt_stale(host, sql);
}

/* 1: these rows are the standby's. Ask the primary, with another statement, where what is missing
 * or not over may just not be known there yet. */
static inline int
ins_rows_stale(const ins_rows *rows)
{
	return ins_api_->db->stale(rows);
}

/* Runs n calls as one implicit transaction in one round trip, inside the ctx's tenant. ret_rows may
 * be NULL, else it has n places. Any failing call fails all: -INS_ECONFLICT (unique violation,
 * 40001), -INS_EINVAL (bad input: class 22, 23), -INS_EUNAVAILABLE (no database), -INS_EINTERNAL.
 */
INS_AWAITS
static inline int
ins_db_batch(ins_ctx *ctx, const ins_call *calls, size_t n, ins_rows **ret_rows)
{
	return ins_api_->db->batch(ctx, calls, n, ret_rows);
}

/* One statement: ins_db(ctx, stmt, INS_ARGS(ins_text(id), ins_int(ctx, 5)), &rows); no parameters:
 * INS_NO_ARGS. */
#define INS_ARGS(...) \
	(const ins_arg[]){ __VA_ARGS__ }, sizeof((const ins_arg[]){ __VA_ARGS__ }) / sizeof(ins_arg)
#define INS_NO_ARGS NULL, 0
INS_AWAITS
static inline int
ins_db(ins_ctx *ctx, const ins_stmt *stmt, const ins_arg *args, size_t n_args, ins_rows **ret_rows)
{
	ins_call call;

	call.stmt = stmt;
	call.args = args;
	call.n_args = n_args;
	return ins_db_batch(ctx, &call, 1, ret_rows);
}

static inline ins_arg
ins_text(const char *z)
{
	ins_arg a;

	a.p = z;
	a.n = z == NULL ? 0 : strlen(z);
	return a;
}
static inline ins_arg
ins_bytes(ins_str s)
{
	ins_arg a;

	a.p = s.p == NULL ? "" : s.p;
	a.n = s.n;
	return a;
}
static inline ins_arg
ins_null(void)
{
	ins_arg a = { NULL, 0 };

	return a;
}
static inline ins_arg
ins_int(ins_ctx *ctx, int64_t v)
{
	return ins_text(ins_printf(ctx, "%lld", (long long)v));
}
static inline ins_arg
ins_json(ins_ctx *ctx, const json_t *j)
{
	ins_str s = ins_json_text(ctx, j);
	ins_arg a;

	a.p = s.p;
	a.n = s.n;
	return a;
}

/* What a result holds. Values are text, NUL-terminated; NULL for SQL NULL. affected: rows of
 * INSERT, UPDATE, DELETE. */
static inline size_t
ins_rows_count(const ins_rows *rows)
{
	return ins_api_->db->count(rows);
}
static inline const char *
ins_value(const ins_rows *rows, size_t row, size_t col)
{
	return ins_api_->db->value(rows, row, col, NULL);
}
static inline ins_str
ins_value_str(const ins_rows *rows, size_t row, size_t col)
{
	ins_str s = { NULL, 0 };

	s.p = ins_api_->db->value(rows, row, col, &s.n);
	return s;
}
static inline int64_t
ins_value_int(const ins_rows *rows, size_t row, size_t col)
{
	const char *z = ins_value(rows, row, col);
	long long v = 0;

	return z != NULL && sscanf(z, "%lld", &v) == 1 ? (int64_t)v : 0;
}
static inline size_t
ins_rows_affected(const ins_rows *rows)
{
	return ins_api_->db->affected(rows);
}
/* Frees a large result before the task's end; its values are gone. */
static inline void
ins_rows_end(ins_rows *rows)
{
	ins_api_->db->end(rows);
}

/* ---------------------------------------------------------------- events (INS_CAP_BUS) */

/* Makes the outbox call of a business event, to stand in the batch of the statements that cause it:
 * the event leaves if and only if they commit. run_id, workflow and tier may be NULL. payload is
 * borrowed. */
static inline int
ins_event(ins_ctx *ctx, const char *event_type, const char *run_id, const char *workflow,
    const char *tier, const json_t *payload, ins_call *ret)
{
	return ins_api_->bus->event(ctx, event_type, run_id, workflow, tier, payload, ret);
}

/* Handles an event type ("ingest.doc.requested"), durably, at least once, inside the event's
 * tenant; init only. One host of the deployment gets each event. 0 acknowledges; a negative return
 * retries after 1, 5 and 25 s, then the event goes to the dead-letter stream. Be idempotent by the
 * envelope's event_id. */
static inline int
ins_subscribe(ins_host *host, const char *event_type, ins_delivery_fn fn)
{
	return ins_api_->bus->subscribe(host, event_type, fn);
}

/* ---------------------------------------------------------------- outbound HTTP (INS_CAP_FETCH) */

/* Sends a request and waits for the answer's headers. -INS_EUPSTREAM (connection, malformed
 * answer), -INS_ETIMEOUT, -INS_EDENIED (address not allowed). The exchange ends, aborted if need
 * be, with ins_fetch_close or the task. */
INS_AWAITS
static inline int
ins_fetch_open(ins_ctx *ctx, const ins_fetch_request *req, ins_fetch **ret)
{
	return ins_api_->fetch->open(ctx, req, ret);
}
static inline int
ins_fetch_status(const ins_fetch *f)
{
	return ins_api_->fetch->status(f);
}
static inline ins_str
ins_fetch_header(const ins_fetch *f, const char *lower_name)
{
	return ins_api_->fetch->header(f, lower_name);
}
/* The next bytes of the body, valid until the next call; 1 = got some, 0 = the proper end, negative
 * = cut, too large (-INS_ETOOBIG) or late. The peer is slowed down while nobody reads. */
INS_AWAITS
static inline int
ins_fetch_read(ins_ctx *ctx, ins_fetch *f, ins_str *ret)
{
	return ins_api_->fetch->read(ctx, f, ret);
}
static inline void
ins_fetch_close(ins_fetch *f)
{
	ins_api_->fetch->close(f);
}

#endif
