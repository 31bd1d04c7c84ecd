/*
 * fold_decide.c: takes the commands of a workflow and holds the run to its limits.
 *
 * A workflow is somebody's plugin: each command is checked, and a wrong one ends the run with an
 * error that says which.
 */
#include <stdlib.h>

#include "fold_int.h"

#define DEFAULT_ATTEMPTS 3
#define DEFAULT_TIMEOUT_MS 30000

static void
hit(struct fold *f, const char *limit, int64_t allowed, int64_t used)
{
	if (f->hit != NULL || allowed == 0 || used <= allowed)
		return;
	f->hit = limit;
	f->hit_allowed = allowed;
	f->hit_used = used;
}

void
fold_check_totals(struct fold *f)
{
	hit(f, "time_ms", f->limits.time_ms, (f->last_us - f->started_us - f->paused_us) / 1000);
	hit(f, "tokens", f->limits.tokens, f->prompt_tokens + f->completion_tokens);
	hit(f, "cost_nanos", f->limits.cost_nanos, f->cost_nanos);
}

void INS_PRINTF(2, 3) fold_fail(struct fold *f, const char *fmt, ...)
{
	char text[400];
	va_list ap;

	if (f->end != NULL)
		return;
	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	f->end = json_pack(
	    "{s:s, s:o}", "status", "failed", "error", fold_error("workflow_error", text));
}

struct fold_step *
fold_open(struct fold *f, enum open_kind kind, const char *name)
{
	int64_t visits = json_integer_value(json_object_get(f->visits, name)) + 1;
	struct fold_step *s;

	if (*name == '\0' || strlen(name) > FOLD_NAME_MAX) {
		fold_fail(f, "a name in a command must have 1 to %u bytes", FOLD_NAME_MAX);
		return NULL;
	}
	if (f->n_open == FOLD_OPEN_MAX) {
		fold_fail(
		    f, "more than %u steps, timers and waits are open at once", FOLD_OPEN_MAX);
		return NULL;
	}
	f->steps++;
	json_object_set_new(f->visits, name, json_integer(visits));
	hit(f, "steps", f->limits.steps, f->steps);
	hit(f, "visits", f->limits.visits, visits);
	s = &f->open[f->n_open++];
	memset(s, 0, sizeof *s);
	s->id = f->next_step++;
	s->kind = kind;
	s->seq = f->next_seq - 1;
	snprintf(s->name, sizeof s->name, "%s", name);
	return s;
}

static int64_t
number(const json_t *cmd, const char *name, int64_t dflt, int64_t max)
{
	const json_t *v = json_object_get(cmd, name);
	int64_t n = json_is_integer(v) ? json_integer_value(v) : dflt;

	return n < 1 ? 1 : n > max ? max : n;
}

/* -1 for a class that does not exist. */
static int
class_of(const json_t *cmd)
{
	const json_t *v = json_object_get(cmd, "class");
	const char *z = json_string_value(v);

	if (v == NULL || (z != NULL && strcmp(z, "idempotent") == 0))
		return STEP_IDEMPOTENT;
	if (z != NULL && strcmp(z, "effect") == 0)
		return STEP_EFFECT;
	return z != NULL && strcmp(z, "local") == 0 ? STEP_LOCAL : -1;
}

static void
command_step(struct fold *f, const json_t *cmd, const char *name)
{
	json_t *input = json_object_get(cmd, "input");
	int class = class_of(cmd);
	struct fold_step *s;

	if (class < 0) {
		fold_fail(f, "step %s: class must be idempotent, effect or local", name);
		return;
	}
	if ((s = fold_open(f, OPEN_STEP, name)) == NULL)
		return;
	s->class = (enum step_class) class;
	s->max_attempts = (int32_t)number(cmd, "max_attempts", DEFAULT_ATTEMPTS, FOLD_ATTEMPTS_MAX);
	s->timeout_ms = number(cmd, "timeout_ms", DEFAULT_TIMEOUT_MS, FOLD_TIMEOUT_MAX_MS);
	s->held = fold_named(f->before, name) ? HELD_BEFORE : f->hold_after ? HELD_AFTER : HELD_NO;
	s->input = input == NULL ? json_object() : json_incref(input);
}

static void
command_end(struct fold *f, const json_t *cmd)
{
	const char *status = json_string_value(json_object_get(cmd, "end"));
	json_t *output = json_object_get(cmd, "output"), *error = json_object_get(cmd, "error");

	if (f->end != NULL)
		return;
	if (strcmp(status, "completed") == 0)
		f->end = json_pack("{s:s, s:O?}", "status", "completed", "output", output);
	else if (strcmp(status, "failed") == 0 && json_is_object(error))
		f->end = json_pack("{s:s, s:O}", "status", "failed", "error", error);
	else
		fold_fail(f, "an end must be \"completed\", or \"failed\" with an error");
}

static void
take_commands(struct fold *f, const ins_workflow *wf, const json_t *commands)
{
	const json_t *cmd;
	const char *name;
	size_t i;

	if (!json_is_array(commands))
		fold_fail(f, "%s: advance() gave no commands", wf->name);
	json_array_foreach(commands, i, cmd)
	{
		if ((name = json_string_value(json_object_get(cmd, "step"))) != NULL)
			command_step(f, cmd, name);
		else if (json_is_string(json_object_get(cmd, "end")))
			command_end(f, cmd);
		else if (!fold_command_wait(f, cmd))
			fold_fail(f,
			    "%s: command %zu is neither a step, a timer, a wait, an interrupt nor "
			    "an end",
			    wf->name, i);
	}
}

void
fold_advance(struct fold *f, ins_ctx *ctx, const ins_workflow *wf, json_t *event)
{
	json_t *out = NULL, *state;

	fold_check_totals(f);
	if (f->hit != NULL || f->end != NULL) {
		json_decref(event);
		return;
	}
	if (wf == NULL || event == NULL) {
		json_decref(event);
		fold_fail(f, "the workflow of this run is not there");
		return;
	}
	if (wf->advance(ctx, wf->self, f->state, event, &out) != 0) {
		const char *why = ins_last_error(ctx);

		fold_fail(f, "%s: %s", wf->name, *why ? why : "advance() failed");
		ins_clear_error(ctx);
		json_decref(out);
		json_decref(event);
		return;
	}
	json_decref(event);
	take_commands(f, wf, json_object_get(out, "commands"));
	state = json_object_get(out, "state");
	json_decref(f->state);
	f->state = state == NULL ? json_null() : json_incref(state);
	json_decref(out);
	if (f->values_seq != f->next_seq - 1)
		f->prev_seq = f->values_seq;
	f->values_seq = f->next_seq - 1;
	f->source = "loop";
	fold_take_signals(f, ctx, wf);
}
