/*
 * openai_chat_workflow.c: a chat completion by a durable run of a workflow.
 *
 * The request becomes the run's input; what its steps stream becomes chunks; its output becomes the
 * end. The run is the host's, not the request's: a client that leaves only stops watching, and
 * finds the whole answer at GET /v1/runs/{id}, whose id is in x-insula-run-id and in the
 * completion's id.
 */
#include "openai.h"

#include <stdlib.h>
#include <string.h>

#define CONTENT_MAX \
	((size_t)4 << 20) /* bytes of a streamed answer, kept to compare with the output */

static const char *
text_member(const json_t *j, const char *name)
{
	const char *z = json_string_value(json_object_get(j, name));

	return z == NULL ? "" : z;
}

/* What watching a run has shown so far. */
struct run {
	struct answer *answer;
	const char *id;
	json_t *end;         /* the event RunEnded, once seen; ends with the task */
	struct text content; /* as sent to the client */
};

static void
free_text(void *arg)
{
	free(((struct text *)arg)->p);
}

/* The input: the question and the conversation it stands in. */
static json_t *
input_of(ins_ctx *ctx, const struct chat_request *request)
{
	json_t *query = chat_query(request);

	if (query == NULL)
		return NULL;
	return ins_json_end(ctx,
	    json_pack("{s:o, s:O}", "query", query, "messages",
		json_object_get(request->body, "messages")));
}

INS_AWAITS
static int
take_delta(struct run *run, const json_t *delta)
{
	const json_t *content = json_object_get(delta, "content");

	if (!run->answer->request->stream || !json_is_string(content))
		return 0;
	text_add(&run->content, json_string_value(content), json_string_length(content));
	if (run->content.failed || run->content.n > CONTENT_MAX)
		return ins_fail(run->answer->ctx, INS_ETOOBIG, "the answer is too long to stream");
	return answer_delta(run->answer, delta);
}

/* Watches until the run is over. */
INS_AWAITS
static int
watch_run(struct run *run, const ins_runs *runs, ins_watch *watch)
{
	ins_ctx *ctx = run->answer->ctx;
	json_t *event;
	int r;

	while ((r = runs->next(ctx, runs->self, watch, &event)) == 1) {
		const char *type = text_member(event, "type");

		if (strcmp(type, "delta") == 0)
			r = take_delta(run, json_object_get(event, "delta"));
		else if (strcmp(type, "RunEnded") == 0)
			run->end = ins_json_end(ctx, json_incref(event));
		json_decref(event);
		if (r < 0)
			return r;
	}
	if (r == 0 && run->end == NULL)
		return ins_fail(ctx, INS_EINTERNAL, "the run %s ended without a result", run->id);
	return r;
}

/* The outcome of a run that did not complete, as an error of this request. */
static int
run_failed(struct run *run)
{
	const json_t *error = json_object_get(run->end, "error");
	const char *message = text_member(error, "message");
	int code = reply_code_named(json_string_value(json_object_get(error, "code")));

	/* Its steps were tried as often as they may be: clients shall not start over by themselves.
	 */
	ins_set_header(run->answer->ctx, "x-should-retry", "false");
	return ins_fail(run->answer->ctx, code, "The run %s did not complete: %s", run->id,
	    *message ? message : text_member(run->end, "status"));
}

/* The output as a model's result. Its text is output.message.content, .answer or .content; an
 * output of another kind is shown as its JSON. */
static json_t *
result_of(struct run *run)
{
	const json_t *output = json_object_get(run->end, "output"),
		     *text = json_object_get(json_object_get(output, "message"), "content");
	const char *reason = json_string_value(json_object_get(output, "finish_reason"));
	ins_str whole;

	if (!json_is_string(text))
		text = json_object_get(output, "answer");
	if (!json_is_string(text))
		text = json_object_get(output, "content");
	if (!json_is_string(text)) {
		whole = ins_json_text(run->answer->ctx, output == NULL ? json_null() : output);
		text = ins_json_end(run->answer->ctx, json_stringn(whole.p, whole.n));
	}
	return ins_json_end(run->answer->ctx,
	    json_pack("{s:{s:O}, s:s, s:O?, s:O?}", "message", "content", text, "finish_reason",
		reason == NULL ? "stop" : reason, "citations", json_object_get(output, "citations"),
		"usage", json_object_get(run->end, "usage")));
}

/* What a client may want to know besides: members of the answer's top, under our name. */
static json_t *
extra_of(struct run *run)
{
	static const char *const passed[] = { "model", "tier", "confidence", "outcome",
		"answered" };
	const json_t *output = json_object_get(run->end, "output");
	json_t *mine = json_pack("{s:s}", "run_id", run->id);

	for (size_t i = 0; i < sizeof passed / sizeof *passed; i++)
		if (json_object_get(output, passed[i]) != NULL)
			json_object_set(mine, passed[i], json_object_get(output, passed[i]));
	return ins_json_end(run->answer->ctx, json_pack("{s:o}", "insula", mine));
}

/*
 * Sends what of the content was not streamed. When the pieces are no beginning of it (a step began
 * to answer, failed and was tried again) the client holds a text that nobody stands by, and must be
 * told so.
 */
INS_AWAITS
static int
send_rest(struct run *run, const json_t *result)
{
	const json_t *text = json_object_get(json_object_get(result, "message"), "content");
	const char *z = json_string_value(text);
	size_t n = json_string_length(text), sent = run->content.n;
	json_t *delta;

	if (n < sent || (sent > 0 && memcmp(z, run->content.p, sent) != 0))
		return ins_fail(run->answer->ctx, INS_EUPSTREAM,
		    "the answer was begun anew while it was streamed; GET /v1/runs/%s has it whole",
		    run->id);
	if (n == sent)
		return 0;
	delta = ins_json_end(run->answer->ctx, json_pack("{s:s%}", "content", z + sent, n - sent));
	return delta == NULL ? -INS_EINTERNAL : answer_delta(run->answer, delta);
}

INS_AWAITS
static int
finish(struct run *run)
{
	json_t *result, *extra;
	int r;

	if (strcmp(text_member(run->end, "status"), "completed") != 0)
		return run_failed(run);
	result = result_of(run);
	extra = extra_of(run);
	if (result == NULL || extra == NULL)
		return ins_fail(run->answer->ctx, INS_EINTERNAL,
		    "the output of the run %s cannot be shown as an answer", run->id);
	if (!run->answer->request->stream)
		return answer_whole(run->answer, result, extra);
	r = send_rest(run, result);
	return r == 0 ? answer_end(run->answer, result, extra) : r;
}

int
openai_chat_workflow(
    ins_ctx *ctx, struct openai *openai, const struct chat_request *request, const char *workflow)
{
	const ins_runs *runs = ins_service(ctx, openai->host, NEED_RUNS, 0, NULL);
	struct answer *a = ins_alloc(ctx, sizeof *a);
	struct run *run = ins_alloc(ctx, sizeof *run);
	const json_t *input = input_of(ctx, request);
	ins_run_request req = { 0 };
	ins_watch *watch = NULL;
	int r;

	if (a == NULL || run == NULL || ins_cleanup(ctx, free_text, &run->content) != 0)
		return ins_fail(ctx, INS_ENOMEM, "out of memory");
	if (request->has_tools) {
		ins_field(ctx, "tools");
		return ins_fail(ctx, INS_EINVAL, "A workflow takes no 'tools': it has its own.");
	}
	if (input == NULL) {
		ins_field(ctx, "messages");
		return ins_fail(
		    ctx, INS_EINVAL, "A workflow needs a user message that is not empty.");
	}
	run->answer = a;
	req.size = sizeof req;
	req.workflow = workflow;
	req.input = input;
	r = runs->start(ctx, runs->self, &req, &run->id, &watch);
	if (r < 0)
		return r;
	r = 0;
	if (answer_init(a, ctx, openai, request, run->id, workflow) != 0)
		return ins_fail(ctx, INS_ENOMEM, "out of memory");
	r = 0; /* started now or found: both are watched */
	ins_set_header(ctx, "x-insula-run-id", run->id);
	/* The work is accepted and has an id: a stream begins here, so that it can be kept alive.
	 */
	if (request->stream)
		r = answer_begin(a);
	if (r == 0)
		r = watch_run(run, runs, watch);
	if (r == 0)
		r = finish(run);
	return r == 0 ? 0 : answer_failed(a, r);
}
