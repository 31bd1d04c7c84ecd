/*
 * mock.h: drives a plugin from a test, without a server. Link with `pkg-config --libs insula-mock`
 * and compile the plugin's own sources into the test program.
 *
 *	ins_mock *m = ins_mock_new(ins_plugin_entry);
 *
 *	ck_assert_msg(ins_mock_start(m, "greeting: Salve") == 0, "%s", ins_mock_error(m));
 *	const ins_mock_answer *a = ins_mock_request(m, "GET", "/v1/hello/Marcus", NULL, NULL);
 *	ck_assert_int_eq(a->status, 200);
 *	ck_assert_str_eq(json_string_value(json_object_get(a->json, "greeting")), "Salve");
 *	ck_assert_msg(ins_mock_stop(m) == 0, "%s", ins_mock_error(m));
 *	ins_mock_free(m);
 *
 * Real, since it is the host's own code: options, arena and its limit, errors and error bodies,
 * routing, permissions, tasks with deadlines and cancellation, conditions, services, metrics, log
 * lines, the check of SQL texts, the envelope of events. Played: one event loop whose clock moves
 * only when every task waits (a sleep of an hour takes no time), the client, the caller's
 * credential, and the database, bus and outbound HTTP, which answer what the test put there. What
 * nothing was put there for fails with -INS_EUNAVAILABLE and a sentence that names it.
 *
 * Not offered: INS_CAP_ENGINE, INS_CAP_CHILD, the look-ups of INS_CAP_AUTH (each such call fails
 * with "the mock does not offer ..."), several loops or generations at a time, addresses and TLS of
 * outbound HTTP. A plugin that asks for any other capability is refused by ins_mock_start().
 *
 * One mock at a time, on one thread. Pointers that are returned live until ins_mock_free(), unless
 * their comment says otherwise.
 */
#ifndef INSULA_MOCK_H
#define INSULA_MOCK_H

#include <insula/insula.h>

#ifdef __cplusplus
extern "C" {
#endif

#define INS_MOCK_API __attribute__((visibility("default")))
#define INS_MOCK_TENANT "0190b5a0-0000-7000-8000-00000000000a" /* the caller's, unless changed */

typedef struct ins_mock ins_mock;

/* The entry of the plugin under test; every plugin has it, by INS_PLUGIN(). */
INS_MOCK_API const ins_plugin *ins_plugin_entry(const ins_api *api);

/* A host with this plugin, not yet started. Never NULL. */
INS_MOCK_API ins_mock *ins_mock_new(ins_entry_fn entry);

/* Checks the descriptor, reads the options (YAML, as below `config:`; NULL = all defaults), runs
 * init and start, and serves. 0, or -1: ins_mock_error() says why, as the operator would read it.
 */
INS_MOCK_API int ins_mock_start(ins_mock *m, const char *options);

/* What was wrong with the last start, run, delivery or stop; "" when nothing was. */
INS_MOCK_API const char *ins_mock_error(const ins_mock *m);

/* Drains, ends the tasks, runs stop and fini. 0, or -1 when something is left over: a condition,
 * a task that ignores its cancellation, an answer of ins_mock_db() or ins_mock_fetch() that was
 * never asked for. */
INS_MOCK_API int ins_mock_stop(ins_mock *m);

/* Stops it if need be and frees everything. */
INS_MOCK_API void ins_mock_free(ins_mock *m);

/* The instance, as ins_service() and ins_local() take it; after ins_mock_start(). */
INS_MOCK_API ins_host *ins_mock_host(ins_mock *m);

/* ---------------------------------------------------------------- who calls, and when */

/* Who the requests, runs and deliveries from now on are for. tenant NULL: no credential, so a route
 * that is not public answers 401. The other strings may be NULL. At first: INS_MOCK_TENANT, user
 * "mock", no plan, permission "*". A plugin that provides ins.auth/1 decides about requests itself.
 */
INS_MOCK_API void ins_mock_caller(
    ins_mock *m, const char *tenant, const char *user, const char *plan, const char *permissions);

/* Lets the tasks go on for ms milliseconds of the mock's clock, then returns. */
INS_MOCK_API void ins_mock_advance(ins_mock *m, int64_t ms);

/* ---------------------------------------------------------------- HTTP */

typedef struct {
	int status;       /* 0 while there is no answer yet, and when the client left before it */
	int done;         /* 1 once the handler has returned and the answer is whole or cut */
	int cut;          /* 1: a stream without its proper end */
	const char *type; /* Content-Type; "" when none */
	const char *body; /* NUL-terminated; of a stream: all that was written so far */
	size_t n;
	const json_t *json; /* the body, when its type is application/json and it parses; else NULL
			     */
} ins_mock_answer;

/* Sends a request and lets tasks run until it is answered. target: path and query, percent-encoded.
 * headers: "Name: value\nName: value", NULL = none. body NULL = none; a body without a Content-Type
 * among the headers is application/json. */
INS_MOCK_API const ins_mock_answer *ins_mock_request(
    ins_mock *m, const char *method, const char *target, const char *headers, const char *body);

/* The same without waiting: the handler has run until its first await that had to wait. The answer
 * fills in as time goes on; ins_mock_advance(). */
INS_MOCK_API const ins_mock_answer *ins_mock_request_begin(
    ins_mock *m, const char *method, const char *target, const char *headers, const char *body);

/* The client of a request that is not done leaves: its task is cancelled. */
INS_MOCK_API void ins_mock_leave(ins_mock *m, const ins_mock_answer *a);

/* A header of the answer by its lower-case name; NULL when absent. */
INS_MOCK_API const char *ins_mock_header(const ins_mock_answer *a, const char *lower_name);

/* ---------------------------------------------------------------- tasks and services */

/* Runs fn(ctx, arg) in a task of the caller until it returns; gives its result, and the text of its
 * failure to ins_mock_error(). The way to call a service, or a function of the plugin that takes a
 * ctx. */
INS_MOCK_API int ins_mock_run(ins_mock *m, ins_task_fn fn, void *arg);

/* Plays another plugin that provides this service; before ins_mock_start(). The vtable is borrowed.
 */
INS_MOCK_API void ins_mock_provide(
    ins_mock *m, const char *iface, const char *name, const void *vtable);

/* The vtable that the plugin under test provides; NULL when it does not. */
INS_MOCK_API const void *ins_mock_service(ins_mock *m, const char *iface, const char *name);

/* ---------------------------------------------------------------- SQL */

/* The next call whose text holds `part` gets these rows: an array of rows, each an array of text,
 * numbers, true, false, null, or objects and arrays (as their JSON text). A whole number instead of
 * the array: so many rows affected, none returned. Stolen. Answers are used once, in their order.
 */
INS_MOCK_API void ins_mock_db(ins_mock *m, const char *part, json_t *rows);

/* The next call whose text holds `part` fails its batch with -code. */
INS_MOCK_API void ins_mock_db_fail(ins_mock *m, const char *part, int code);

/* Every call so far: [{"sql", "args": [text or null], "tenant", "user", "committed": bool}]. Events
 * are not among them. */
INS_MOCK_API const json_t *ins_mock_db_calls(ins_mock *m);

/* ---------------------------------------------------------------- events */

/* The envelopes of the events whose batch committed, in order: an array. */
INS_MOCK_API const json_t *ins_mock_events(ins_mock *m);

/* One delivery of an event with this payload (stolen; NULL = {}) to the plugin's subscription. The
 * handler's result: 0 acknowledges, negative would be tried again; -INS_ENOTFOUND when the plugin
 * does not subscribe to the type. */
INS_MOCK_API int ins_mock_deliver(ins_mock *m, const char *event_type, json_t *payload);

/* ---------------------------------------------------------------- outbound HTTP */

/* The next fetch with this method whose URL begins with `url` is answered like this. headers as in
 * ins_mock_request(). Answers are used once, in their order. */
INS_MOCK_API void ins_mock_fetch(ins_mock *m, const char *method, const char *url, int status,
    const char *headers, const char *body);

/* The next such fetch fails in ins_fetch_open() with -code: -INS_EUPSTREAM, -INS_ETIMEOUT,
 * -INS_EDENIED. */
INS_MOCK_API void ins_mock_fetch_fail(ins_mock *m, const char *method, const char *url, int code);

/* As ins_mock_fetch(), but the body breaks off after these bytes: ins_fetch_read() gives -code
 * where the proper end would be. */
INS_MOCK_API void ins_mock_fetch_cut(ins_mock *m, const char *method, const char *url, int status,
    const char *headers, const char *body, int code);

/* How many bytes one ins_fetch_read() gives at most, from now on; 0 = all there are. Parsers of
 * streams should be tried with 1. */
INS_MOCK_API void ins_mock_fetch_piece(ins_mock *m, size_t bytes);

/* Every fetch so far: [{"method", "url", "headers": [...], "body", "private": bool}]. */
INS_MOCK_API const json_t *ins_mock_fetches(ins_mock *m);

/* ---------------------------------------------------------------- what an operator would see */

/* The value of a metric as /metrics has it: ins_mock_metric(m, "hello_total"), or with its label
 * "hello_total{status=\"200\"}"; 0 when it was never touched. Since the process began, not since
 * ins_mock_new(). */
INS_MOCK_API double ins_mock_metric(ins_mock *m, const char *name);

/* The log lines so far, one JSON object each. With INSULA_MOCK_LOG=1 in the environment they go to
 * standard error instead. */
INS_MOCK_API const char *ins_mock_log(ins_mock *m);

#ifdef __cplusplus
}
#endif
#endif
