/*
 * faq_advance.c: the workflow's decisions. Pure: the log alone says what happened.
 *
 * The state is what later steps need: the question, what the client asked for, and what the search
 * found.
 */
#include "faq.h"

static json_t *
last_user_text(const json_t *messages)
{
	size_t i = json_array_size(messages), k;

	while (i-- > 0) {
		const json_t *m = json_array_get(messages, i), *part;
		const char *role = json_string_value(json_object_get(m, "role"));
		json_t *content = json_object_get(m, "content");

		if (role == NULL || strcmp(role, "user") != 0)
			continue;
		if (json_is_string(content))
			return json_incref(content);
		json_array_foreach(content, k, part)
		{
			json_t *text = json_object_get(part, "text");

			if (json_is_string(text))
				return json_incref(text);
		}
	}
	return NULL;
}

json_t *
faq_question(const json_t *input)
{
	static const char *const names[] = { "question", "query" };
	size_t i;

	for (i = 0; i < sizeof names / sizeof *names; i++) {
		json_t *q = json_object_get(input, names[i]);

		if (json_is_string(q))
			return json_incref(q);
	}
	return last_user_text(json_object_get(input, "messages"));
}

static int
result(json_t **ret_out, json_t *state, json_t *command)
{
	*ret_out = json_pack("{s:o, s:[o]}", "state", state, "commands", command);
	return *ret_out == NULL ? -INS_ENOMEM : 0;
}

static int
fail(ins_ctx *ctx, json_t **ret_out, const char *code, const char *message)
{
	(void)ctx;
	return result(ret_out, json_null(),
	    json_pack(
		"{s:s, s:{s:s, s:s}}", "end", "failed", "error", "code", code, "message", message));
}

/* What of the input the steps take. */
static json_t *
begin_state(const json_t *input, json_t *question)
{
	static const char *const kept[] = { "tier", "knowledge_id", "max_tokens", "temperature" };
	json_t *state = json_pack("{s:o}", "question", question), *v;
	size_t i;

	for (i = 0; i < sizeof kept / sizeof *kept; i++)
		if ((v = json_object_get(input, kept[i])) != NULL && !json_is_null(v))
			json_object_set(state, kept[i], v);
	return state;
}

static int
on_start(ins_ctx *ctx, const struct faq *faq, const json_t *input, json_t **ret_out)
{
	json_t *question = faq_question(input), *state, *step;
	size_t n = json_string_length(question);

	if (n == 0 || n > 4 * FAQ_QUESTION_MAX) {
		json_decref(question);
		return fail(ctx, ret_out, "invalid_request",
		    n == 0 ? "there is no question: give \"question\", or \"messages\" with one of "
			     "the user"
			   : "the question is too long");
	}
	state = begin_state(input, question);
	step = json_pack("{s:O, s:I, s:O*}", "question", question, "top_k",
	    (json_int_t)faq->conf.top_k, "knowledge_id", json_object_get(state, "knowledge_id"));
	return result(ret_out, state,
	    json_pack("{s:s, s:o, s:s, s:i, s:i}", "step", "search", "input", step, "class",
		"idempotent", "max_attempts", 3, "timeout_ms", 10000));
}

/* The search is done: too little to answer from, or off to the policy. */
static int
on_search(const struct faq *faq, const json_t *state, const json_t *output, json_t **ret_out)
{
	double confidence = json_number_value(json_object_get(output, "confidence"));
	json_t *next = json_copy((json_t *)(uintptr_t)state), *step;

	(void)faq;
	json_object_set(next, "confidence", json_object_get(output, "confidence"));
	if (confidence < CONFIDENCE_LOW)
		return result(ret_out, next,
		    json_pack("{s:s, s:{}, s:s}", "step", "refuse", "input", "class", "local"));
	json_object_set(next, "passages", json_object_get(output, "passages"));
	step = json_pack("{s:O, s:i, s:O*}", "confidence", json_object_get(output, "confidence"),
	    "input_chars", (int)json_string_length(json_object_get(state, "question")), "tier",
	    json_object_get(state, "tier"));
	return result(ret_out, next,
	    json_pack("{s:s, s:o, s:s}", "step", "route", "input", step, "class", "local"));
}

static int
on_route(const struct faq *faq, const json_t *state, const json_t *output, json_t **ret_out)
{
	json_t *step = json_copy((json_t *)(uintptr_t)state);

	json_object_set(step, "tiers", json_object_get(output, "tiers"));
	return result(ret_out, json_incref((json_t *)(uintptr_t)state),
	    json_pack("{s:s, s:o, s:s, s:i, s:I}", "step", "answer", "input", step, "class",
		"idempotent", "max_attempts", 2, "timeout_ms", (json_int_t)faq->conf.timeout));
}

static int
on_answer(const json_t *state, const json_t *output, json_t **ret_out)
{
	json_t *end = json_copy((json_t *)(uintptr_t)output);

	json_object_set(end, "confidence", json_object_get(state, "confidence"));
	return result(
	    ret_out, json_null(), json_pack("{s:s, s:o}", "end", "completed", "output", end));
}

int
faq_advance(ins_ctx *ctx, void *self, const json_t *state, const json_t *event, json_t **ret_out)
{
	const struct faq *faq = self;
	const char *type = json_string_value(json_object_get(event, "type"));
	const char *name = json_string_value(json_object_get(event, "name"));
	const json_t *output = json_object_get(event, "output");
	const json_t *error = json_object_get(event, "error");

	*ret_out = NULL;
	if (type == NULL)
		return -INS_EINVAL;
	if (strcmp(type, "RunStarted") == 0)
		return on_start(ctx, faq, json_object_get(event, "input"), ret_out);
	if (strcmp(type, "StepFailed") == 0)
		return result(
		    ret_out, json_null(), json_pack("{s:s, s:O}", "end", "failed", "error", error));
	if (name == NULL)
		return -INS_EINVAL;
	if (strcmp(name, "search") == 0)
		return on_search(faq, state, output, ret_out);
	if (strcmp(name, "route") == 0)
		return on_route(faq, state, output, ret_out);
	return on_answer(state, output, ret_out);
}
