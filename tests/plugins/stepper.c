/*
 * stepper.c: a workflow that does what its input says, for tests of the run engine.
 *
 * Input: {"plan": [{"name", "class"?, "ms"?: sleeps so long, "fail"?: an INS_E* number, "times"?:
 * how many attempts fail (all), "stream"?: how many pieces it says, "output"?: what it gives,
 * "bytes"?: a text of this size in the output, "max_attempts"?, "timeout_ms"?} | {"timer",
 * "after_ms"} | {"wait", "timeout_ms"?} | {"interrupt", "value"}], "again"?: how often it begins
 * anew at the plan's end, true for ever, "stop"?: true stops without an end}. One after the other;
 * a plan's item that is a list is done at once. Each call of a step adds a line with its key to the
 * file `trace`.
 *
 * The values are {"at", "seen": what happened, "before": the thread's values}; an update may set
 * any of them.
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
} called[SEEN_MAX];

static int
calls_of(const char *key)
{
	unsigned i;

	for (i = 0; i < SEEN_MAX; i++) {
		if (called[i].key[0] == '\0')
			snprintf(called[i].key, sizeof called[i].key, "%s", key);
		if (strcmp(called[i].key, key) == 0)
			return ++called[i].calls;
	}
	return 1;
}

/* A command of the plan as the engine takes it. */
static json_t *
command_of(json_t *item)
{
	json_t *command = json_copy(item);

	if (json_object_get(item, "name") != NULL) {
		json_object_set(command, "step", json_object_get(item, "name"));
		json_object_set(command, "input", item);
	}
	return command;
}

/* "a", "timer t", "signal s", "interrupt i": what the event is about, as a line of "seen". */
static json_t *
seen_of(const json_t *event)
{
	static const char *const kinds[] = { "timer", "signal", "interrupt" };
	const char *name;
	size_t i;

	for (i = 0; i < sizeof kinds / sizeof *kinds; i++)
		if ((name = json_string_value(json_object_get(event, kinds[i]))) != NULL)
			return json_sprintf("%s %s", kinds[i], name);
	return json_incref(json_object_get(event, "name"));
}

static const json_t *
result_of(const json_t *event)
{
	static const char *const keys[] = { "output", "payload", "value" };
	const json_t *v;
	size_t i;

	for (i = 0; i < sizeof keys / sizeof *keys; i++)
		if ((v = json_object_get(event, keys[i])) != NULL)
			return v;
	return NULL;
}

/* Moves on; what is next, or NULL at the end. */
static const json_t *
next_item(json_t *state, const json_t *input)
{
	const json_t *plan = json_object_get(input, "plan"),
		     *again = json_object_get(input, "again");
	json_int_t at = json_integer_value(json_object_get(state, "at")) + 1;
	json_int_t round = json_integer_value(json_object_get(state, "round"));
	json_int_t n = (json_int_t)json_array_size(plan);

	if (at >= n && (json_is_true(again) || round < json_integer_value(again))) {
		at = 0;
		json_object_set_new(state, "round", json_integer(round + 1));
	}
	json_object_set_new(state, "at", json_integer(at));
	return json_array_get(plan, (size_t)at);
}

static void
add_commands(json_t *commands, json_t *state, const json_t *item)
{
	size_t i;
	json_t *v;

	if (!json_is_array(item)) {
		json_array_append_new(commands, command_of((json_t *)(uintptr_t)item));
		return;
	}
	json_object_set_new(state, "open", json_integer((json_int_t)json_array_size(item)));
	json_array_foreach(item, i, v) json_array_append_new(commands, command_of(v));
}

static int
begin(ins_ctx *ctx, const json_t *event, json_t **ret_state)
{
	const json_t *input = json_object_get(event, "input");

	if (!json_is_array(json_object_get(input, "plan")))
		return ins_fail(ctx, INS_EINVAL, "input.plan must be a list");
	*ret_state = json_pack("{s:O, s:i, s:[], s:O?}", "input", input, "at", -1, "seen", "before",
	    json_object_get(event, "values"));
	return 0;
}

static int
advance(ins_ctx *ctx, void *self, const json_t *old, const json_t *event, json_t **ret_out)
{
	const char *type = json_string_value(json_object_get(event, "type"));
	json_t *commands = json_array(), *state = NULL, *seen;
	const json_t *item;
	json_int_t open;
	int r = 0;

	(void)self;
	if (strcmp(type, "RunStarted") == 0) {
		r = begin(ctx, event, &state);
	} else {
		state = json_is_object(old) ? json_copy((json_t *)(uintptr_t)old) : json_object();
		seen = json_copy(json_object_get(state, "seen"));
		json_array_append_new(seen, seen_of(event));
		json_object_set_new(state, "seen", seen == NULL ? json_array() : seen);
	}
	open = json_integer_value(json_object_get(state, "open"));
	if (r != 0) {
		;
	} else if (strcmp(type, "Patched") == 0) {
		json_object_set(state, "seen", json_object_get(old, "seen"));
		json_object_update(state, json_object_get(event, "values"));
	} else if (strcmp(type, "StepFailed") == 0) {
		json_array_append_new(commands,
		    json_pack(
			"{s:s, s:O}", "end", "failed", "error", json_object_get(event, "error")));
	} else if (open > 1) {
		json_object_set_new(state, "open", json_integer(open - 1));
	} else {
		json_object_del(state, "open");
		item = next_item(state, json_object_get(state, "input"));
		if (item != NULL)
			add_commands(commands, state, item);
		else if (!json_is_true(json_object_get(json_object_get(state, "input"), "stop")))
			json_array_append_new(commands,
			    json_pack("{s:s, s:{s:O, s:O*}}", "end", "completed", "output", "steps",
				json_object_get(state, "at"), "last", result_of(event)));
	}
	*ret_out = r != 0 ? NULL : json_pack("{s:O, s:O}", "state", state, "commands", commands);
	json_decref(state);
	json_decref(commands);
	return r != 0 ? r : *ret_out == NULL ? -INS_ENOMEM : 0;
}

static int
values(ins_ctx *ctx, void *self, const json_t *state, json_t **ret)
{
	static const char *const shown[] = { "at", "seen", "before" };
	json_t *v;
	size_t i;

	(void)ctx;
	(void)self;
	*ret = json_object();
	for (i = 0; i < sizeof shown / sizeof *shown; i++)
		if ((v = json_object_get(state, shown[i])) != NULL)
			json_object_set(*ret, shown[i], v);
	return 0;
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
	s->vtable.values = values;
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
