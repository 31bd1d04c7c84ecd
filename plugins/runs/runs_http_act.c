/*
 * runs_http_act.c: the routes that start runs and speak to them.
 *
 *	POST   /v1/runs               {"workflow", "input", "thread_id", "metadata", "options",
 *	                              "multitask", "after_ms", "deadline_ms"}: 202 {"run_id"};
 *	                              ?wait=true: 200 when it ended or was interrupted
 *	POST   /v1/runs/{id}/fork     {"seq", "input" | "resume" | "update", ...}: a new run that
 *	                              goes on from that state
 *	POST   /v1/runs/{id}/signals  {"name", "payload"}
 *	POST   /v1/runs/{id}/resume   {"value"}
 *	POST   /v1/runs/{id}/cancel   200 when it is cancelled
 *	DELETE /v1/runs/{id}          cancelled if it is not over, and deleted
 *
 * An Idempotency-Key makes a start, a signal and a resume safe to repeat.
 */
#include <stdlib.h>

#include "engine.h"

/* What a start, and a fork, may have in their bodies. */
static const char *const start_members[] = { "workflow", "input", "thread_id", "metadata",
	"options", "multitask", "after_ms", "deadline_ms", NULL };
static const char *const fork_members[] = { "workflow", "input", "thread_id", "metadata", "options",
	"multitask", "after_ms", "deadline_ms", "seq", "resume", "update", NULL };

static int
known_members(ins_ctx *ctx, const json_t *body, const char *const *names)
{
	const char *key;
	json_t *v;
	size_t i;

	json_object_foreach((json_t *)(uintptr_t)body, key, v)
	{
		for (i = 0; names[i] != NULL && strcmp(names[i], key) != 0;)
			i++;
		if (names[i] != NULL)
			continue;
		ins_field(ctx, ins_strndup(ctx, key, strlen(key)));
		return ins_fail(ctx, INS_EINVAL, "there is no member %.60s here", key);
	}
	return 0;
}

static int
is_true(const char *z)
{
	return z != NULL && (strcmp(z, "true") == 0 || strcmp(z, "1") == 0);
}

/* Waits for the end, or for an interrupt, which becomes the answer. */
INS_AWAITS
static int
wait_end(ins_ctx *ctx, struct plugin *p, const char *run_id, ins_watch *watch)
{
	json_t *ev = NULL, *end = NULL, *out;
	const char *type = "";
	int r;

	while ((r = runs_next(ctx, p, watch, &ev)) == 1) {
		type = json_string_value(json_object_get(ev, "type"));
		if (type != NULL &&
		    (strcmp(type, "RunEnded") == 0 || strcmp(type, "Interrupted") == 0)) {
			json_decref(end);
			end = json_incref(ev);
		}
		json_decref(ev);
	}
	if (r != 0 || end == NULL) {
		json_decref(end);
		return r != 0 ? r : ins_fail(ctx, INS_EINTERNAL, "the run ended without saying so");
	}
	out = json_pack("{s:s, s:s, s:O?}", "run_id", run_id, "object", "run", "status",
	    json_object_get(end, "status"));
	if (json_object_get(end, "status") == NULL)
		json_object_set_new(out, "status", json_string("interrupted"));
	run_take_end(out, end);
	json_decref(end);
	return ins_reply_take(ctx, 200, out);
}

/* NULL = absent; "" is refused by the service. */
static const char *
idempotency_key(ins_ctx *ctx)
{
	ins_str key = ins_header(ctx, "idempotency-key");

	return key.p == NULL ? NULL : ins_strndup(ctx, key.p, key.n);
}

static int
multitask_of(ins_ctx *ctx, const json_t *body, uint32_t *ret)
{
	static const char *const names[] = { "enqueue", "reject", "interrupt", "rollback" };
	const json_t *v = json_object_get(body, "multitask");
	const char *z = json_string_value(v);

	*ret = 0;
	if (v == NULL)
		return 0;
	for (; z != NULL && *ret < 4; ++*ret)
		if (strcmp(z, names[*ret]) == 0)
			return 0;
	ins_field(ctx, "multitask");
	return ins_fail(
	    ctx, INS_EINVAL, "multitask must be enqueue, reject, interrupt or rollback");
}

static int
member(ins_ctx *ctx, const json_t *body, const char *name, int type, const json_t **ret)
{
	*ret = json_object_get(body, name);
	if (*ret == NULL || (int)json_typeof(*ret) == type)
		return 0;
	ins_field(ctx, name);
	return ins_fail(ctx, INS_EINVAL, "%s must be %s", name,
	    type == JSON_STRING        ? "a text"
		: type == JSON_INTEGER ? "a whole number"
				       : "an object");
}

static int
request_of(ins_ctx *ctx, const json_t *body, const char *const *members, ins_run_request *req)
{
	const json_t *workflow, *thread, *after, *deadline;
	int r;

	req->size = sizeof *req;
	if ((r = known_members(ctx, body, members)) != 0 ||
	    (r = member(ctx, body, "workflow", JSON_STRING, &workflow)) != 0 ||
	    (r = member(ctx, body, "thread_id", JSON_STRING, &thread)) != 0 ||
	    (r = member(ctx, body, "metadata", JSON_OBJECT, &req->metadata)) != 0 ||
	    (r = member(ctx, body, "options", JSON_OBJECT, &req->options)) != 0 ||
	    (r = member(ctx, body, "after_ms", JSON_INTEGER, &after)) != 0 ||
	    (r = member(ctx, body, "deadline_ms", JSON_INTEGER, &deadline)) != 0 ||
	    (r = multitask_of(ctx, body, &req->multitask)) != 0)
		return r;
	req->input = json_object_get(body, "input");
	req->workflow = json_string_value(workflow);
	req->thread_id = json_string_value(thread);
	req->after_ms = json_integer_value(after);
	req->deadline_ms = json_integer_value(deadline);
	req->idem_key = idempotency_key(ctx);
	return 0;
}

INS_AWAITS
static int
start_and_answer(ins_ctx *ctx, struct plugin *p, const ins_run_request *req)
{
	int wait = is_true(ins_query(ctx, "wait")), pending = 0, r;
	const char *run_id, *status;
	ins_watch *watch;
	ins_rows *row;

	r = runs_begin(ctx, p, req, &run_id, wait ? &watch : NULL, &pending);
	if (r < 0)
		return r;
	if (wait)
		return wait_end(ctx, p, run_id, watch);
	status = pending ? "pending" : "running";
	if (r == 0) { /* it is as old as its key */
		if ((r = ins_db(ctx, p->sql.get, INS_ARGS(ins_text(run_id)), &row)) != 0)
			return r;
		status = ins_rows_count(row) == 0 ? "deleted" : ins_value(row, 0, 3);
		r = 0;
	}
	ins_set_header(ctx, "location", ins_printf(ctx, "/v1/runs/%s", run_id));
	return ins_reply_json(ctx, 202, "{s:s, s:s, s:s, s:b}", "run_id", run_id, "object", "run",
	    "status", status, "new", r == 1);
}

static int
start_run(ins_ctx *ctx, void *self)
{
	ins_run_request req = { 0 };
	json_t *body, *none;
	int r;

	if ((r = ins_body_json(ctx, &body)) != 0 ||
	    (r = request_of(ctx, body, start_members, &req)) != 0)
		return r;
	if (req.workflow == NULL) {
		ins_field(ctx, "workflow");
		return ins_fail(ctx, INS_EINVAL, "workflow must be the name of a workflow");
	}
	if (req.thread_id == NULL && !json_is_object(req.options)) {
		if (req.input != NULL && !json_is_object(req.input)) {
			ins_field(ctx, "input");
			return ins_fail(ctx, INS_EINVAL, "input must be an object");
		}
		none = ins_json_end(ctx, json_object());
		req.input = req.input == NULL ? none : req.input;
	}
	return start_and_answer(ctx, self, &req);
}

/* The options of a fork: where, and with what. */
static int
fork_options(ins_ctx *ctx, const json_t *body, const char *id, int64_t seq, ins_run_request *req)
{
	static const char *const commands[] = { "resume", "update" };
	json_t *options = req->options == NULL ? json_object()
					       : json_copy((json_t *)(uintptr_t)req->options);
	json_t *command = json_object(), *v;
	size_t i;

	for (i = 0; i < sizeof commands / sizeof *commands; i++)
		if ((v = json_object_get(body, commands[i])) != NULL)
			json_object_set(command, commands[i], v);
	if (json_object_size(command) > 0)
		json_object_set(options, "command", command);
	json_decref(command);
	json_object_set_new(
	    options, "checkpoint", json_pack("{s:s, s:I}", "run_id", id, "seq", (json_int_t)seq));
	req->options = ins_json_end(ctx, options);
	return req->options == NULL ? ins_fail(ctx, INS_ENOMEM, "out of memory") : 0;
}

static int
fork_run(ins_ctx *ctx, void *self)
{
	const char *id = uuid_of(ctx, ins_param(ctx, "id")), *workflow;
	ins_run_request req = { 0 };
	json_t *body, *state;
	const json_t *seq;
	int r;

	if ((r = ins_body_json(ctx, &body)) != 0 ||
	    (r = request_of(ctx, body, fork_members, &req)) != 0 ||
	    (r = member(ctx, body, "seq", JSON_INTEGER, &seq)) != 0)
		return r;
	if (id == NULL)
		return ins_fail(ctx, INS_ENOTFOUND, "there is no run with this id");
	r = runs_state(ctx, self, id, seq == NULL ? -1 : json_integer_value(seq), &state);
	if (r != 0)
		return r;
	ins_json_end(ctx, state);
	workflow = json_string_value(json_object_get(state, "workflow"));
	if (req.workflow == NULL)
		req.workflow = workflow;
	r = fork_options(ctx, body, id, json_integer_value(json_object_get(state, "seq")), &req);
	return r != 0 ? r : start_and_answer(ctx, self, &req);
}

/* A message whose id the client names, or that is new each time. */
INS_AWAITS
static int
send_and_answer(
    ins_ctx *ctx, struct plugin *p, const char *kind, const char *name, const json_t *payload)
{
	const char *id = ins_param(ctx, "id"), *msg = idempotency_key(ctx);
	char made[37];
	int r;

	if (msg == NULL) {
		ins_uuid7(made);
		msg = made;
	}
	r = runs_send(ctx, p, id, kind, msg, name, payload);
	if (r < 0)
		return r;
	return ins_reply_json(ctx, 202, "{s:s, s:s, s:s, s:b}", "run_id", id, "object",
	    "run.message", "message_id", msg, "new", r == 1);
}

static int
signal_run(ins_ctx *ctx, void *self)
{
	static const char *const members[] = { "name", "payload", NULL };
	const json_t *name;
	json_t *body;
	int r;

	if ((r = ins_body_json(ctx, &body)) != 0 || (r = known_members(ctx, body, members)) != 0 ||
	    (r = member(ctx, body, "name", JSON_STRING, &name)) != 0)
		return r;
	return send_and_answer(ctx, self, INS_MESSAGE_SIGNAL, json_string_value(name),
	    json_object_get(body, "payload"));
}

static int
resume_run(ins_ctx *ctx, void *self)
{
	static const char *const members[] = { "value", NULL };
	json_t *body;
	int r;

	if ((r = ins_body_json(ctx, &body)) != 0 || (r = known_members(ctx, body, members)) != 0)
		return r;
	return send_and_answer(ctx, self, INS_MESSAGE_RESUME, NULL, json_object_get(body, "value"));
}

#define END_TRIES 200
#define END_MS 50

/* Looks once more until the run is over; *ret_status: how, NULL when it is gone. A run that was
 * interrupted is brought to its end by its owner, which takes a moment. */
INS_AWAITS
static int
wait_over(ins_ctx *ctx, struct plugin *p, const char *id, int gone, const char **ret_status)
{
	ins_rows *row;
	int i, r;

	for (i = 0; i < END_TRIES; i++) {
		if ((r = ins_db(ctx, p->sql.get, INS_ARGS(ins_text(id)), &row)) != 0)
			return r;
		*ret_status = NULL;
		if (ins_rows_count(row) == 0)
			return 0;
		*ret_status = ins_strndup(ctx, ins_value(row, 0, 3), strlen(ins_value(row, 0, 3)));
		i = ins_value(row, 0, 8) != NULL && !gone ? END_TRIES : i;
		ins_rows_end(row);
		if (i < END_TRIES && (r = ins_sleep(ctx, END_MS)) != 0)
			return r;
	}
	return 0;
}

static int
cancel_run(ins_ctx *ctx, void *self)
{
	const char *id = ins_param(ctx, "id"), *status;
	int r = runs_send(ctx, self, id, INS_MESSAGE_CANCEL, "cancel", NULL, NULL);

	if (r < 0 || (r = wait_over(ctx, self, id, 0, &status)) != 0)
		return r;
	if (status != NULL && strcmp(status, "cancelled") != 0)
		return ins_fail(ctx, INS_ECONFLICT, "the run is not cancelled: %s", status);
	return ins_reply_json(
	    ctx, 200, "{s:s, s:s, s:s}", "run_id", id, "object", "run", "status", "cancelled");
}

static int
delete_run(ins_ctx *ctx, void *self)
{
	const char *id = ins_param(ctx, "id"), *status;
	int r = runs_send(ctx, self, id, INS_MESSAGE_DELETE, "delete", NULL, NULL);

	if (r < 0 || (r = wait_over(ctx, self, id, 1, &status)) != 0)
		return r;
	/* 202: its owner is away, and will delete it */
	return ins_reply_json(ctx, status == NULL ? 200 : 202, "{s:s, s:s, s:b}", "run_id", id,
	    "object", "run.deleted", "deleted", status == NULL);
}

int
runs_http_act_init(struct plugin *p)
{
	ins_host *host = p->host;

	if (ins_route(host, "POST", "/v1/runs", "runs:write", start_run) != 0 ||
	    ins_route(host, "POST", "/v1/runs/{id}/fork", "runs:write", fork_run) != 0 ||
	    ins_route(host, "POST", "/v1/runs/{id}/signals", "runs:write", signal_run) != 0 ||
	    ins_route(host, "POST", "/v1/runs/{id}/resume", "runs:write", resume_run) != 0 ||
	    ins_route(host, "POST", "/v1/runs/{id}/cancel", "runs:write", cancel_run) != 0)
		return -INS_EINVAL;
	return ins_route(host, "DELETE", "/v1/runs/{id}", "runs:write", delete_run);
}
