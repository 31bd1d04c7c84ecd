/*
 * stepper.c: a workflow that does what its input says, for tests of the run engine.
 *
 * Input: {"plan": [{"name", "class"?, "ms"?: sleeps so long, "fail"?: an INS_E* number, "times"?:
 * how many attempts fail (all), "stream"?: how many pieces it says, "output"?: what it gives,
 * "bytes"?: a text of this size in the output, "max_attempts"?, "timeout_ms"?}], "again"?: true
 * begins anew at the plan's end, "stop"?: true stops without an end}. The steps run one after the
 * other. Each call of a step adds a line with its key to the file `trace`.
 */
#include <insula/workflow.h>

#include <stdlib.h>

#define SEEN_MAX 64u

struct conf {
	const char *trace, *version;
};

struct stepper {
	struct conf conf;
	ins_workflow vtable;
};

/* How often a key was called: tests use one loop where this matters. */
static __thread struct {
	char key[64];
	int calls;
} seen[SEEN_MAX];

static int
calls_of(const char *key)
{
	unsigned i;

	for (i = 0; i < SEEN_MAX; i++) {
		if (seen[i].key[0] == '\0')
			snprintf(seen[i].key, sizeof seen[i].key, "%s", key);
		if (strcmp(seen[i].key, key) == 0)
			return ++seen[i].calls;
	}
	return 1;
}

static int
advance(ins_ctx *ctx, void *self, const json_t *state, const json_t *event, json_t **ret_out)
{
	const char *type = json_string_value(json_object_get(event, "type"));
	json_t *input = json_object_get(state, "input"), *plan, *step, *command;
	json_int_t at = json_integer_value(json_object_get(state, "at")) + 1;

	(void)self;
	if (strcmp(type, "RunStarted") == 0) {
		input = json_object_get(event, "input");
		at = 0;
	} else if (strcmp(type, "StepFailed") == 0) {
		*ret_out = json_pack("{s:n, s:[{s:s, s:O}]}", "state", "commands", "end", "failed",
		    "error", json_object_get(event, "error"));
		return 0;
	}
	plan = json_object_get(input, "plan");
	if (!json_is_array(plan))
		return ins_fail(ctx, INS_EINVAL, "input.plan must be a list");
	if (json_is_true(json_object_get(input, "again")))
		at %= (json_int_t)json_array_size(plan);
	step = json_array_get(plan, (size_t)at);
	if (step != NULL) {
		command = json_copy(step);
		json_object_set(command, "step", json_object_get(step, "name"));
		json_object_set(command, "input", step);
	} else if (json_is_true(json_object_get(input, "stop"))) {
		command = NULL;
	} else {
		command = json_pack("{s:s, s:{s:I, s:O*}}", "end", "completed", "output", "steps",
		    at, "last", json_object_get(event, "output"));
	}
	*ret_out = json_pack(
	    "{s:{s:O, s:I}, s:[o*]}", "state", "input", input, "at", at, "commands", command);
	return *ret_out == NULL ? -INS_ENOMEM : 0;
}

static void
trace(const struct stepper *s, const char *key, const char *name)
{
	FILE *f = *s->conf.trace ? fopen(s->conf.trace, "a") : NULL;

	if (f == NULL)
		return;
	fprintf(f, "%s %s\n", key, name);
	fclose(f);
}

static int
say(ins_ctx *ctx, const ins_sink *sink, json_int_t n)
{
	char text[40];
	json_int_t i;
	json_t *delta;
	int r = 0;

	for (i = 0; i < n && r == 0; i++) {
		snprintf(text, sizeof text, "piece %d ", (int)i);
		delta = json_pack("{s:s}", "content", text);
		r = sink->delta(ctx, sink->arg, delta);
		json_decref(delta);
	}
	return r;
}

static json_t *
output_of(const json_t *in)
{
	json_t *out = json_object_get(in, "output");
	json_int_t bytes = json_integer_value(json_object_get(in, "bytes"));
	char *big;

	out = out == NULL ? json_object() : json_deep_copy(out);
	if (bytes > 0 && (big = malloc((size_t)bytes)) != NULL) {
		memset(big, 'x', (size_t)bytes);
		json_object_set_new(out, "text", json_stringn(big, (size_t)bytes));
		free(big);
	}
	return out;
}

static int
step(ins_ctx *ctx, void *self, const char *name, const char *key, const json_t *in,
    const ins_sink *sink, json_t **ret_out)
{
	json_int_t fail = json_integer_value(json_object_get(in, "fail"));
	json_int_t ms = json_integer_value(json_object_get(in, "ms"));
	const json_t *times = json_object_get(in, "times");
	int r = 0;

	*ret_out = NULL;
	trace(self, key, name);
	r = say(ctx, sink, json_integer_value(json_object_get(in, "stream")));
	if (r == 0 && ms > 0)
		r = ins_sleep(ctx, ms);
	if (r == 0 && fail > 0 && (times == NULL || calls_of(key) <= json_integer_value(times)))
		r = ins_fail(ctx, (int)fail, "%s fails as it was told", name);
	if (r == 0)
		*ret_out = output_of(in);
	return r;
}

static int
init(ins_host *host, const void *conf, void **ret_self)
{
	struct stepper *s = ins_new(host, sizeof *s);

	s->conf = *(const struct conf *)conf;
	s->vtable.size = sizeof s->vtable;
	s->vtable.self = s;
	s->vtable.name = "stepper";
	s->vtable.version = s->conf.version;
	s->vtable.advance = advance;
	s->vtable.step = step;
	*ret_self = s;
	return ins_provide(host, INS_WORKFLOW_IFACE, "stepper", &s->vtable);
}

static const ins_option options[] = {
	INS_OPT_STR(struct conf, trace, "", "file that gets a line for each call of a step"),
	INS_OPT_STR(struct conf, version, "1", "the workflow's version"),
	INS_OPT_END(struct conf),
};

INS_PLUGIN(.name = "stepper", .version = "1.0.0", .summary = "a workflow made of its input",
    .options = options, .init = init);
