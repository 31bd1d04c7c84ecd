/*
 * insula.h: all that a plugin needs.
 *
 * A plugin is one shared object with one exported symbol, ins_plugin_entry, which INS_PLUGIN()
 * defines. The host hands it a table of tables: one per capability, NULL where the operator did not
 * grant the capability. Authors do not touch the tables; the static-inline wrappers below read like
 * ordinary functions.
 *
 * Everything that takes an ins_ctx runs in a coroutine on one event loop. A prototype marked
 * INS_AWAITS may suspend the caller: other tasks run on the loop meanwhile, so state outside the
 * ctx may have changed when the call returns, and nothing but the ctx and read-only data of the
 * plugin may be relied upon across it. A task never changes loop.
 *
 * Memory: what a call returns lives in the task's arena and ends with the task, unless its comment
 * says otherwise. `const json_t *` arguments are borrowed; `json_t **ret_x` gives the caller a new
 * reference.
 *
 * Errors: 0 or a negative INS_E* code. The first ins_fail() of a task sets the text that the client
 * reads; the task's end writes one log line. After -INS_ECANCELED (the client left, the deadline
 * passed, the plugin is being replaced) every further await returns at once with the same code:
 * clean up and return.
 *
 * ABI: fixed-width integers, no enums or bit-fields in structs, tables append-only and led by their
 * size.
 *
 * 1.0 (ABI 1.0): first version.
 */
#ifndef INSULA_H
#define INSULA_H

#include <jansson.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#ifdef __cplusplus
extern "C" {
#endif

#define INS_MAGIC 0x50534e49u /* "INSP" */
#define INS_ABI_MAJOR 1u      /* equal to the host's, or refused */
#define INS_ABI_MINOR 0u      /* not above the host's, or refused */

#define INS_AWAITS /* marks a prototype that may suspend its caller */
#define INS_PRINTF(f, a) __attribute__((format(printf, f, a)))

/*
 * Error codes. X(name, number, HTTP status, OpenAI-style type, OpenAI-style code or NULL,
 * retryable)
 */
#define INS_ERRORS(X)                                                              \
	X(EINVAL, 1, 400, "invalid_request_error", NULL, 0)                        \
	X(EUNAUTHENTICATED, 2, 401, "invalid_request_error", "invalid_api_key", 0) \
	X(EDENIED, 3, 403, "permission_error", "permission_denied", 0)             \
	X(ENOTFOUND, 4, 404, "invalid_request_error", "not_found", 0)              \
	X(EMETHOD, 5, 405, "invalid_request_error", "method_not_allowed", 0)       \
	X(ECONFLICT, 6, 409, "invalid_request_error", "conflict", 0)               \
	X(ETOOBIG, 7, 413, "invalid_request_error", "request_too_large", 0)        \
	X(EMEDIA, 8, 415, "invalid_request_error", "unsupported_media_type", 0)    \
	X(ELIMIT, 9, 429, "rate_limit_error", "rate_limit_exceeded", 1)            \
	X(ECANCELED, 10, 499, "server_error", "canceled", 0)                       \
	X(EINTERNAL, 11, 500, "server_error", "internal_error", 1)                 \
	X(ENOMEM, 12, 500, "server_error", "out_of_memory", 1)                     \
	X(EUPSTREAM, 13, 502, "server_error", "upstream_error", 1)                 \
	X(EUNAVAILABLE, 14, 503, "server_error", "service_unavailable", 1)         \
	X(ETIMEOUT, 15, 504, "server_error", "timeout", 1)                         \
	X(EMODEL, 16, 404, "invalid_request_error", "model_not_found", 0)          \
	X(EQUOTA, 17, 402, "insufficient_quota", "insufficient_quota", 0)

enum {
#define INS_X(name, number, status, type, code, retry) INS_##name = number,
	INS_ERRORS(INS_X)
#undef INS_X
};

typedef struct ins_host ins_host;   /* this plugin instance, as the host sees it */
typedef struct ins_loop ins_loop;   /* one event loop */
typedef struct ins_ctx ins_ctx;     /* one task: a request, a bus delivery, a background job */
typedef struct ins_stmt ins_stmt;   /* a registered SQL text; lives as long as the instance */
typedef struct ins_rows ins_rows;   /* a result; lives in the task's arena */
typedef struct ins_cond ins_cond;   /* a condition that tasks of one loop wait for */
typedef struct ins_fetch ins_fetch; /* one outbound HTTP exchange */
typedef struct ins_metric ins_metric;
typedef struct ins_ws ins_ws; /* one WebSocket connection (ws.h) */
typedef struct ins_ws_route ins_ws_route;
typedef struct ins_ws_api ins_ws_api;
typedef struct ins_relay ins_relay; /* listens to one subject of the lossy relay (engine.h) */

typedef struct {
	const char *p; /* borrowed, not NUL-terminated unless a comment says so */
	size_t n;      /* bytes */
} ins_str;

#define INS_FMT(s) (int)(s).n, (s).p /* for "%.*s" */

static inline ins_str
ins_s(const char *z)
{
	ins_str s;

	s.p = z;
	s.n = z == NULL ? 0 : strlen(z);
	return s;
}

static inline int
ins_str_eq(ins_str a, const char *z)
{
	size_t n = strlen(z);

	return a.n == n && memcmp(a.p, z, n) == 0;
}

typedef int (*ins_handler)(ins_ctx *, void *self);
typedef int (*ins_task_fn)(ins_ctx *, void *arg);
typedef int (*ins_delivery_fn)(ins_ctx *, void *self, const json_t *envelope);
typedef void (*ins_relay_fn)(void *arg, const char *subject, ins_str data);

/* ------------------------------------------------------------------------------------------------
 * Options: one table per plugin. The host parses the plugin's part of the configuration with it,
 * refuses unknown keys with file, line and key, fills in defaults, and hands `conf` to init. The
 * same table makes `insula check`, `insula plugin doc NAME`, the sample configuration and the
 * manual page.
 */
enum {
	INS_OPT_T_END = 0,
	INS_OPT_T_STR,     /* const char * */
	INS_OPT_T_INT,     /* int64_t */
	INS_OPT_T_NUM,     /* double */
	INS_OPT_T_BOOL,    /* int32_t, 0 or 1 */
	INS_OPT_T_MS,      /* int64_t, milliseconds; written 250ms, 5s, 2m, 1h */
	INS_OPT_T_SIZE,    /* int64_t, bytes; written 64k, 4m, 1g */
	INS_OPT_T_JSON,    /* json_t * (borrowed, NULL when absent): of any shape */
	INS_OPT_T_ENUM,    /* int32_t, the place of the word among the choices, from 0 */
	INS_OPT_T_RATE,    /* double, per second; written 10/s, 600/m, 5/h, 1/d; 0 */
	INS_OPT_T_SECRET,  /* const char *; written ${NAME} or file:/path, never in clear text */
	INS_OPT_T_LIST,    /* ins_list of const char * */
	INS_OPT_T_OBJECT,  /* a struct inside conf, with a table of its own */
	INS_OPT_T_OBJECTS, /* ins_list of structs with a table of their own */
};

/* A list option; lives as long as the instance. */
typedef struct {
	size_t n;
	const void *p; /* n times const char *, or n structs */
} ins_list;

typedef struct ins_option {
	uint32_t type;
	uint32_t flags; /* 0 */
	const char *name;
	const char *dflt; /* as it would be written in YAML, a LIST with commas; NULL = required
			     (JSON, OBJECT, OBJECTS: may always be absent) */
	const char *doc;  /* one sentence */
	size_t offset;    /* into conf; in the END entry: sizeof conf */
	double min, max;  /* both inclusive, in the unit of the value; for lists: entries. Both 0:
			     any */
	const char *choices;            /* ENUM: "debug|info|warn" */
	const struct ins_option *table; /* OBJECT, OBJECTS */
} ins_option;

#define INS_OPT_ALL_(t, s, m, d, lo, hi, c, sub, x)                        \
	{                                                                  \
		INS_OPT_T_##t, 0, #m, d, x, offsetof(s, m), lo, hi, c, sub \
	}
#define INS_OPT_(t, s, m, d, x) INS_OPT_ALL_(t, s, m, d, 0, 0, NULL, NULL, x)
/* s: the struct; m: its member, which is the key; d: the default; x: one sentence. */
#define INS_OPT_STR(s, m, d, x) INS_OPT_(STR, s, m, d, x)
#define INS_OPT_INT(s, m, d, x) INS_OPT_(INT, s, m, d, x)
#define INS_OPT_NUM(s, m, d, x) INS_OPT_(NUM, s, m, d, x)
#define INS_OPT_BOOL(s, m, d, x) INS_OPT_(BOOL, s, m, d, x)
#define INS_OPT_MS(s, m, d, x) INS_OPT_(MS, s, m, d, x)
#define INS_OPT_SIZE(s, m, d, x) INS_OPT_(SIZE, s, m, d, x)
#define INS_OPT_JSON(s, m, x) INS_OPT_(JSON, s, m, NULL, x)
#define INS_OPT_RATE(s, m, d, x) INS_OPT_(RATE, s, m, d, x)
#define INS_OPT_SECRET(s, m, d, x) INS_OPT_(SECRET, s, m, d, x)
#define INS_OPT_LIST(s, m, d, x) INS_OPT_(LIST, s, m, d, x)
/* With a range lo .. hi: milliseconds, bytes, per second, entries. */
#define INS_OPT_INT_IN(s, m, d, lo, hi, x) INS_OPT_ALL_(INT, s, m, d, lo, hi, NULL, NULL, x)
#define INS_OPT_NUM_IN(s, m, d, lo, hi, x) INS_OPT_ALL_(NUM, s, m, d, lo, hi, NULL, NULL, x)
#define INS_OPT_MS_IN(s, m, d, lo, hi, x) INS_OPT_ALL_(MS, s, m, d, lo, hi, NULL, NULL, x)
#define INS_OPT_SIZE_IN(s, m, d, lo, hi, x) INS_OPT_ALL_(SIZE, s, m, d, lo, hi, NULL, NULL, x)
#define INS_OPT_RATE_IN(s, m, d, lo, hi, x) INS_OPT_ALL_(RATE, s, m, d, lo, hi, NULL, NULL, x)
#define INS_OPT_LIST_IN(s, m, d, lo, hi, x) INS_OPT_ALL_(LIST, s, m, d, lo, hi, NULL, NULL, x)
/* c: the words, "json|text"; sub: the table of the struct, or of each struct of the list. */
#define INS_OPT_ENUM(s, m, d, c, x) INS_OPT_ALL_(ENUM, s, m, d, 0, 0, c, NULL, x)
#define INS_OPT_OBJECT(s, m, sub, x) INS_OPT_ALL_(OBJECT, s, m, NULL, 0, 0, NULL, sub, x)
#define INS_OPT_OBJECTS(s, m, lo, hi, sub, x) \
	INS_OPT_ALL_(OBJECTS, s, m, NULL, lo, hi, NULL, sub, x)
#define INS_OPT_END(s)                                                          \
	{                                                                       \
		INS_OPT_T_END, 0, NULL, NULL, NULL, sizeof(s), 0, 0, NULL, NULL \
	}

/* ------------------------------------------------------------------------------------------------
 * Services: typed vtables that one plugin provides and others need. A vtable begins with its size
 * and a self pointer. Needs are numbered by their place in the descriptor's table; the host
 * resolves them when it builds a generation, starts providers first, and refuses cycles. Never keep
 * a service pointer beyond the call it was got for.
 */
enum {
	INS_ONE = 0,      /* exactly one provider */
	INS_MANY = 1,     /* one or more */
	INS_OPTIONAL = 2, /* zero is fine; may be or-ed with INS_MANY */
};

typedef struct {
	const char *iface; /* "ins.model/1" */
	uint32_t flags;
} ins_need;

/* ------------------------------------------------------------------------------------------------
 * Capabilities: asked for in the descriptor, granted in the configuration (all that are asked for,
 * unless the plugin's entry says `caps: [...]`).
 */
#define INS_CAP_HTTP (UINT64_C(1) << 0)  /* routes, requests, replies */
#define INS_CAP_DB (UINT64_C(1) << 1)    /* SQL inside the tenant of the ctx */
#define INS_CAP_BUS (UINT64_C(1) << 2)   /* business events */
#define INS_CAP_FETCH (UINT64_C(1) << 3) /* outbound HTTP */
#define INS_CAP_AUTH (UINT64_C(1) << 4)  /* says who is calling */
#define INS_CAP_ENGINE \
	(UINT64_C(1) << 5) /* the run tables of many tenants; tasks inside a named tenant */
#define INS_CAP_CHILD (UINT64_C(1) << 6) /* sandboxed helper processes */
#define INS_CAP_WS (UINT64_C(1) << 7)    /* WebSocket connections: ws.h */

typedef struct {
	uint32_t magic, abi_major, abi_minor, size; /* first: they protect the rest */
	const char *name, *version, *summary;
	uint64_t caps;
	const ins_option *options; /* NULL = none */
	const ins_need *needs;     /* ends with { NULL, 0 }; NULL = none */
	const char *const *
	    schema; /* SQL migrations "0001_name", text, ..., NULL; NULL = none. See doc/guide.md */
	/* Control thread; may fail; the only place to register routes, statements, services,
	 * subscriptions, metrics. */
	int (*init)(ins_host *, const void *conf, void **ret_self);
	/* Each loop, before the generation serves; may fail. *ret_local is what ins_local() gives
	 * on that loop. */
	int (*start)(void *self, ins_loop *, void **ret_local);
	/* Each loop: no new work will come; background tasks are cancelled after this returns,
	 * except those that it spawns: the unload waits for them, so they give themselves a short
	 * deadline. Cannot fail. NULL = none. */
	void (*drain)(void *self, ins_loop *, void *local);
	/* Each loop, once no task of this instance is left: free per-loop state. Cannot fail. NULL
	 * = none. */
	void (*stop)(void *self, ins_loop *, void *local);
	/* Control thread, last. Cannot fail. Memory of ins_host_alloc() is freed by the host
	 * afterwards. NULL = none.
	 */
	void (*fini)(void *self);
} ins_plugin;

/* ------------------------------------------------------------------------------------------------
 * Tables. Plugins use the wrappers further down; the comments stand there.
 */
enum { INS_LOG_DEBUG, INS_LOG_INFO, INS_LOG_WARN, INS_LOG_ERROR };

typedef struct {
	uint32_t size;
	void *(*alloc)(ins_ctx *, size_t);
	int (*cleanup)(ins_ctx *, void (*fn)(void *), void *arg);
	void *(*host_alloc)(ins_host *, size_t);
	int (*fail)(ins_ctx *, int code, const char *text);
	void (*detail)(ins_ctx *, const char *text);
	void (*hint)(ins_ctx *, const char *text);
	void (*field)(ins_ctx *, const char *path);
	void (*log)(ins_ctx *, int level, const char *event, json_t *fields);
	int (*host_fail)(ins_host *, const char *option, const char *text);
	void (*host_log)(ins_host *, int level, const char *event, json_t *fields);
	const char *(*tenant_id)(ins_ctx *);
	const char *(*user_id)(ins_ctx *);
	const char *(*plan)(ins_ctx *);
	const char *(*request_id)(ins_ctx *);
	const char *(*traceparent)(ins_ctx *);
	int (*allowed)(ins_ctx *, const char *permission);
	int64_t (*now_us)(void);
	int64_t (*mono_us)(void);
	void (*uuid7)(char out[37]);
	int (*json_parse)(ins_ctx *, const char *p, size_t n, json_t **ret);
	const char *(*last_error)(ins_ctx *);
	void (*clear_error)(ins_ctx *);
	void (*retry_after)(ins_ctx *, int64_t seconds);
} ins_core_api;

typedef struct {
	uint32_t size;
	int (*sleep)(ins_ctx *, int64_t ms);
	void (*deadline)(ins_ctx *, int64_t ms);
	int (*cancelled)(ins_ctx *);
	int (*spawn)(ins_host *, ins_loop *, const char *name, ins_task_fn, void *arg);
	int (*spawn_child)(ins_ctx *, ins_host *, const char *name, ins_task_fn, void *arg);
	int (*blocking)(ins_ctx *, void (*fn)(void *), void *arg);
	ins_cond *(*cond_new)(ins_loop *);
	void (*cond_free)(ins_cond *);
	int (*cond_wait)(ins_ctx *, ins_cond *, int64_t ms);
	void (*cond_broadcast)(ins_cond *);
	ins_loop *(*loop)(ins_ctx *);
	uint32_t (*loop_index)(ins_loop *);
	uint32_t (*loop_count)(ins_host *);
	void *(*local)(ins_ctx *, ins_host *);
} ins_task_api;

typedef struct {
	uint32_t size;
	int (*provide)(ins_host *, const char *iface, const char *name, const void *vtable);
	const void *(*get)(ins_ctx *, ins_host *, uint32_t need, uint32_t i, const char **ret_name);
} ins_service_api;

typedef struct {
	uint32_t size;
	ins_metric *(*counter)(ins_host *, const char *name, const char *help, const char *label);
	ins_metric *(*gauge)(ins_host *, const char *name, const char *help);
	ins_metric *(*histogram)(ins_host *, const char *name, const char *help);
	void (*add)(ins_metric *, const char *label_value, double n);
	void (*observe)(ins_metric *, double seconds);
} ins_metric_api;

typedef struct {
	uint32_t size;
	int (*route)(ins_host *, const char *method, const char *pattern, const char *permission,
	    ins_handler);
	const char *(*method)(ins_ctx *);
	const char *(*path)(ins_ctx *);
	const char *(*param)(ins_ctx *, const char *name);
	const char *(*query)(ins_ctx *, const char *name);
	ins_str (*header)(ins_ctx *, const char *lower_name);
	const char *(*remote)(ins_ctx *);
	ins_str (*body)(ins_ctx *);
	int (*set_header)(ins_ctx *, const char *name, const char *value);
	int (*reply)(ins_ctx *, int status, const char *ctype, const char *p, size_t n);
	int (*stream)(ins_ctx *, int status, const char *ctype);
	int (*write)(ins_ctx *, const char *p, size_t n);
	int (*abort)(ins_ctx *);
	int (*heartbeat)(ins_ctx *, int64_t ms, const char *p, size_t n);
	const char *(*query_at)(ins_ctx *, const char *name, uint32_t i);
} ins_http_api;

typedef struct {
	const char *p; /* NULL = SQL NULL */
	size_t n;
} ins_arg; /* a parameter in PostgreSQL's text form */

typedef struct {
	const ins_stmt *stmt;
	const ins_arg *args;
	size_t n_args;
} ins_call;

typedef struct {
	uint32_t size;
	const ins_stmt *(*stmt)(ins_host *, const char *sql);
	int (*batch)(ins_ctx *, const ins_call *, size_t n, ins_rows **ret_rows);
	size_t (*count)(const ins_rows *);
	size_t (*columns)(const ins_rows *);
	const char *(*value)(const ins_rows *, size_t row, size_t col, size_t *ret_n);
	size_t (*affected)(const ins_rows *);
	void (*end)(ins_rows *);
	const ins_stmt *(*stmt_stale)(ins_host *, const char *sql);
	int (*stale)(const ins_rows *);
} ins_db_api;

typedef struct {
	uint32_t size;
	int (*event)(ins_ctx *, const char *event_type, const char *run_id, const char *workflow,
	    const char *tier, const json_t *payload, ins_call *ret);
	int (*subscribe)(ins_host *, const char *event_type, ins_delivery_fn);
} ins_bus_api;

typedef struct {
	uint32_t size;
	uint32_t flags;             /* INS_FETCH_* */
	const char *method, *url;   /* http or https only */
	const char *const *headers; /* "Name: value", ..., NULL; may be NULL */
	ins_str body;
	int64_t connect_ms, first_byte_ms, idle_ms, total_ms; /* 0 = the host's default */
	int64_t max_bytes; /* of the response body; 0 = the host's default (8 MiB) */
} ins_fetch_request;

#define INS_FETCH_PRIVATE 1u /* may go to loopback, private and link-local addresses */

typedef struct {
	uint32_t size;
	int (*open)(ins_ctx *, const ins_fetch_request *, ins_fetch **ret);
	int (*status)(const ins_fetch *);
	ins_str (*header)(const ins_fetch *, const char *lower_name);
	int (*read)(ins_ctx *, ins_fetch *, ins_str *ret);
	void (*close)(ins_fetch *);
} ins_fetch_api;

typedef struct {
	uint32_t size;
	const char *tenant_id; /* uuid text */
	const char
	    *user_id; /* who, inside the tenant: a user's or key's id; any text up to 128 bytes */
	const char *plan;        /* the tenant's plan; "" when unknown */
	const char *permissions; /* space-separated "area:verb"; "area:*" and "*" match more */
} ins_principal;

typedef struct {
	uint32_t size;
	const char *tenant_id, *key_id, *user_id, *plan, *tenant_status, *permissions;
	const char *secret_hash; /* lower-case hex SHA-256 of the secret part */
	int64_t expires_at;      /* seconds since 1970, 0 = never */
	int32_t revoked;
} ins_key_row;

/* The certificate that a client showed, verified against the listener's client_ca. Strings live as
 * long as the task. */
typedef struct {
	uint32_t size;
	const char *subject; /* RFC 2253: "CN=billing,O=Example"; "" when longer than 511 bytes */
	const char *names;   /* subjectAltName, a line each: "DNS:a.example\nURI:spiffe://b/c" */
	const char *sha256;  /* of its DER form: 64 hexadecimal digits in lower case */
	int64_t not_after;   /* seconds since 1970 */
} ins_peer_cert;

typedef struct {
	uint32_t size;
	int (*set_principal)(ins_ctx *, const ins_principal *);
	int (*key_lookup)(ins_ctx *, const char *public_id, ins_key_row *ret);
	int (*tenant_lookup)(
	    ins_ctx *, const char *tenant_id, const char **ret_plan, const char **ret_status);
	int (*peer_cert)(ins_ctx *, ins_peer_cert *ret);
} ins_auth_api;

typedef struct {
	uint32_t size;
	int (*batch)(ins_ctx *, const char *const *tenants, size_t n_tenants, const ins_call *,
	    size_t n, ins_rows **ret_rows);
	int (*spawn)(
	    ins_ctx *, ins_host *, const ins_principal *, const char *name, ins_task_fn, void *arg);
	int (*event)(ins_ctx *, const ins_principal *, const char *event_type, const char *run_id,
	    const char *workflow, const char *tier, const json_t *payload, ins_call *ret);
	const char *(*host_id)(void);
	const char *(*boot_id)(void);
	int (*relay_publish)(ins_host *, const char *subject, ins_str data);
	ins_relay *(*relay_open)(
	    ins_host *, ins_loop *, const char *subject, ins_relay_fn, void *arg);
	void (*relay_close)(ins_relay *);
	void (*cancel)(ins_ctx *);
} ins_engine_api;

typedef struct {
	uint32_t size;
	int (*run)(ins_ctx *, const char *tool, const char *arg, ins_str input, int64_t timeout_ms,
	    ins_str *ret);
} ins_child_api;

typedef struct {
	uint32_t size, abi_minor;
	const ins_core_api *core; /* always there, as are task, service and metric */
	const ins_task_api *task;
	const ins_service_api *service;
	const ins_metric_api *metric;
	const ins_http_api *http; /* from here on: NULL when not granted */
	const ins_db_api *db;
	const ins_bus_api *bus;
	const ins_fetch_api *fetch;
	const ins_auth_api *auth;
	const ins_engine_api *engine;
	const ins_child_api *child;
	const ins_ws_api *ws;
} ins_api;

typedef const ins_plugin *(*ins_entry_fn)(const ins_api *);

/*
 * The descriptor and the one exported symbol. Stands once in a plugin, in NAME.c. The note is read
 * as bytes, before the image is mapped, so that a wrong ABI is refused before any code of the
 * plugin runs.
 */
#define INS_STRING__(x) #x
#define INS_STRING_(x) INS_STRING__(x)
#define INS_PLUGIN(...)                                                                         \
	__attribute__((visibility("hidden"))) const ins_api *ins_api_;                          \
	__attribute__((used, section(".insula.note"))) static const char ins_note_[] =          \
	    "INSULA-PLUGIN abi=" INS_STRING_(INS_ABI_MAJOR) "." INS_STRING_(INS_ABI_MINOR) ";"; \
	static const ins_plugin ins_descriptor_ = { .magic = INS_MAGIC,                         \
		.abi_major = INS_ABI_MAJOR,                                                     \
		.abi_minor = INS_ABI_MINOR,                                                     \
		.size = sizeof(ins_plugin),                                                     \
		__VA_ARGS__ };                                                                  \
	__attribute__((visibility("default"))) const ins_plugin *ins_plugin_entry(              \
	    const ins_api *);                                                                   \
	const ins_plugin *ins_plugin_entry(const ins_api *api)                                  \
	{                                                                                       \
		ins_api_ = api;                                                                 \
		return &ins_descriptor_;                                                        \
	}                                                                                       \
	extern const ins_api *ins_api_

extern __attribute__((visibility("hidden"))) const ins_api *ins_api_;

#include <insula/wrappers.h>

#ifdef __cplusplus
}
#endif
#endif
