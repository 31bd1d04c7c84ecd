/*
 * langgraph_frames.c: which server-sent events a recorded event of the engine becomes, by stream
 * mode.
 *
 * The engine's event carries the state that it made. A new state is a `values`, a `checkpoints` and
 * a debug event; a task that is open for the first time, or no more, is a `tasks` and a debug
 * event.
 */
#include "langgraph_stream.h"

#include <stdlib.h>

void
frame_add(struct stream *st, const char *event, json_t *data)
{
	if (data == NULL)
		return;
	json_array_append_new(st->frames, json_string(event));
	json_array_append_new(st->frames, data);
}

void
frame_mode(struct stream *st, unsigned mode, const char *event, json_t *data)
{
	if ((st->s->modes & mode) != 0)
		frame_add(st, event, data);
	else
		json_decref(data);
}

static const char *
thread_of(const struct stream *st)
{
	return st->s->thread_id == NULL ? st->s->run_id : st->s->thread_id;
}

static json_t *
step_of(const json_t *state)
{
	json_t *step = json_object_get(state, "step");

	return step == NULL ? json_integer(0) : json_incref(step);
}

static void
debug(struct stream *st, const json_t *event, const char *type, json_t *payload)
{
	const json_t *state = json_object_get(event, "state");

	if ((st->s->modes & LG_MODE_DEBUG) == 0) {
		json_decref(payload);
		return;
	}
	frame_add(st, "debug",
	    json_pack("{s:s, s:O?, s:o, s:o}", "type", type, "timestamp",
		json_object_get(event, "ts"), "step", step_of(state), "payload", payload));
}

/* In the manner of LangChain's astream_events. */
static void
events_mode(
    struct stream *st, const char *what, const json_t *name, const char *key, const json_t *data)
{
	json_t *about;

	if ((st->s->modes & LG_MODE_EVENTS) == 0)
		return;
	about = json_object();
	if (key != NULL)
		json_object_set(about, key, data == NULL ? json_null() : (json_t *)data);
	frame_add(st, "events",
	    json_pack("{s:s, s:o, s:s, s:[], s:O, s:o, s:[]}", "event", what, "name",
		name == NULL ? json_string(st->s->workflow) : json_incref((json_t *)name), "run_id",
		st->s->run_id, "tags", "metadata", st->metadata, "data", about, "parent_ids"));
}

/* ---------------------------------------------------------------- states */

static void
checkpoint(struct stream *st, const json_t *event, const json_t *state)
{
	json_t *whole = lg_state_json(thread_of(st), state), *payload;

	/* As LangGraph has it: tasks of a new checkpoint have no outcome yet. */
	payload = json_pack("{s:O, s:O, s:O, s:O, s:O, s:O}", "values",
	    json_object_get(whole, "values"), "metadata", json_object_get(whole, "metadata"),
	    "next", json_object_get(whole, "next"), "tasks", json_object_get(whole, "tasks"),
	    "checkpoint", json_object_get(whole, "checkpoint"), "parent_checkpoint",
	    json_object_get(whole, "parent_checkpoint"));
	frame_mode(st, LG_MODE_CHECKPOINTS, "checkpoints", json_incref(payload));
	debug(st, event, "checkpoint", payload);
	json_decref(whole);
}

/* 1 when the event made the state that it carries. */
static int
is_made_by(const json_t *state, const json_t *event)
{
	return state != NULL &&
	    json_equal(json_object_get(state, "seq"), json_object_get(event, "seq"));
}

static void
values(struct stream *st, const json_t *event, const json_t *state)
{
	json_t *all;

	if (!is_made_by(state, event) && (state == NULL || st->begun))
		return;
	all = lg_values_json(state);
	frame_mode(st, LG_MODE_VALUES, "values", json_incref(all));
	messages_of_values(st, all);
	checkpoint(st, event, state);
	json_decref(all);
}

/* ---------------------------------------------------------------- tasks */

/* A task of the state; 1 = it is open for the first time. *ret_id is a new reference. Timers and
 * waits are no tasks of LangGraph's. */
static int
opens(struct stream *st, const json_t *task, json_t **ret_id)
{
	const char *kind = lg_text(task, "kind"), *id = lg_text(task, "id");
	long long step = id == NULL ? -1 : strtoll(id, NULL, 10);

	*ret_id = lg_task_id(st->s->run_id, task);
	if (step > st->last_step)
		st->last_step = step;
	if (json_object_get(st->open, json_string_value(*ret_id)) != NULL ||
	    (kind != NULL && strcmp(kind, "step") != 0 && strcmp(kind, "interrupt") != 0))
		return 0;
	json_object_set(st->open, json_string_value(*ret_id), json_object_get(task, "name"));
	return 1;
}

void
stream_recall(struct stream *st, const json_t *state)
{
	json_t *one, *id;
	size_t i;

	json_array_foreach(json_object_get(state, "tasks"), i, one)
	{
		opens(st, one, &id);
		json_decref(id);
	}
	json_object_set(st->parent, "seq", json_object_get(state, "seq"));
	if (lg_get(state, "parent") != NULL)
		json_object_set(st->parent, "parent", lg_get(state, "parent"));
}

static void
new_tasks(struct stream *st, const json_t *event, const json_t *state)
{
	json_t *one, *task, *id, *all = lg_values_json(state);
	const char *name;
	size_t i;

	json_array_foreach(json_object_get(state, "tasks"), i, one)
	{
		if (opens(st, one, &id)) {
			name = lg_text(one, "name");
			task = json_pack("{s:O, s:O*, s:O, s:[s+], s:[], s:O}", "id", id, "name",
			    json_object_get(one, "name"), "input", all, "triggers",
			    "branch:to:", name == NULL ? "" : name, "interrupts", "metadata",
			    st->metadata);
			frame_mode(st, LG_MODE_TASKS, "tasks", json_incref(task));
			debug(st, event, "task", task);
			events_mode(
			    st, "on_chain_start", json_object_get(one, "name"), "input", all);
		}
		json_decref(id);
	}
	json_decref(all);
}

/* A task came to its end: {"id", "name", "result", "interrupts", "error"}. */
static void
task_result(struct stream *st, const json_t *event, json_t *id, const json_t *name,
    const json_t *result, const json_t *error, json_t *interrupts)
{
	json_t *done = json_pack("{s:O, s:O*, s:O, s:o, s:O}", "id", id, "name", name, "result",
	    result == NULL ? json_null() : result, "interrupts", interrupts, "error",
	    error == NULL ? json_null() : error);

	json_object_del(st->open, json_string_value(id));
	frame_mode(st, LG_MODE_TASKS, "tasks", json_incref(done));
	debug(st, event, "task_result", done);
}

static json_t *
id_of_step(struct stream *st, const json_t *event)
{
	return json_sprintf("%s:%lld", st->s->run_id,
	    (long long)json_integer_value(json_object_get(event, "step")));
}

/* ---------------------------------------------------------------- events */

static void
step_completed(struct stream *st, const json_t *event)
{
	const json_t *name = json_object_get(event, "name");
	const json_t *update = json_object_get(event, "update");
	json_t *id = id_of_step(st, event);

	if (update == NULL)
		update = json_object_get(event, "output");
	messages_of_update(st, event, update);
	if (json_is_string(name))
		frame_mode(st, LG_MODE_UPDATES, "updates",
		    json_pack(
			"{s:O}", json_string_value(name), update == NULL ? json_null() : update));
	task_result(st, event, id, name, update, NULL, json_array());
	events_mode(st, "on_chain_end", name, "output", update);
	json_decref(id);
}

static void
step_failed(struct stream *st, const json_t *event)
{
	const json_t *error = json_object_get(event, "error");
	json_t *id = id_of_step(st, event);

	task_result(st, event, id, json_object_get(event, "name"), NULL,
	    json_object_get(error, "message"), json_array());
	json_decref(id);
}

/* Something waits for somebody: what, and which tasks. */
static void
interrupted(struct stream *st, const json_t *event, const json_t *state)
{
	json_t *all = json_object_get(event, "interrupts"), *told, *one, *id, *of, *nothing;
	size_t i;

	told = lg_interrupts_of_nodes(all);
	frame_mode(st, LG_MODE_UPDATES, "updates", json_pack("{s:O}", "__interrupt__", told));
	frame_mode(st, LG_MODE_VALUES, "values", json_pack("{s:O}", "__interrupt__", told));
	json_array_foreach(json_object_get(state, "tasks"), i, one)
	{
		of = lg_interrupts_of_nodes(json_object_get(one, "interrupts"));
		if (json_array_size(of) == 0) {
			json_decref(of);
			continue;
		}
		id = lg_task_id(st->s->run_id, one);
		nothing = json_object();
		task_result(st, event, id, json_object_get(one, "name"), nothing, NULL, of);
		json_decref(nothing);
		json_decref(id);
	}
	json_decref(told);
}

static void
ended(struct stream *st, const json_t *event)
{
	const json_t *error = lg_get(event, "error");
	const char *code = lg_text(error, "code"), *message = lg_text(error, "message");

	events_mode(st, "on_chain_end", NULL, "output", json_object_get(event, "output"));
	if (error != NULL)
		frame_add(st, "error",
		    json_pack("{s:s, s:s}", "error", code == NULL ? "Error" : code, "message",
			message == NULL ? "" : message));
}

/* The engine's state without what a watcher knows: the run, and which state came before. */
static json_t *
whole_state(struct stream *st, const json_t *event)
{
	json_t *state = json_copy(lg_get(event, "state")), *seq, *base;

	if (state == NULL)
		return NULL;
	json_object_set_new(state, "run_id", json_string(st->s->run_id));
	seq = json_object_get(state, "seq");
	if ((base = lg_get(event, "base")) != NULL)
		json_object_set(st->parent, "parent", base);
	if (!json_equal(seq, json_object_get(st->parent, "seq"))) {
		if (json_object_get(st->parent, "seq") != NULL)
			json_object_set_new(st->parent, "parent",
			    json_pack("{s:s, s:O}", "run_id", st->s->run_id, "seq",
				json_object_get(st->parent, "seq")));
		json_object_set(st->parent, "seq", seq);
	}
	json_object_set(state, "parent",
	    json_object_get(st->parent, "parent") == NULL ? json_null()
							  : json_object_get(st->parent, "parent"));
	return state;
}

void
frames_of_event(struct stream *st, const json_t *event)
{
	json_t *state = whole_state(st, event);
	const char *type = lg_text(event, "type");

	if (type == NULL) {
		json_decref(state);
		return;
	}
	if (strcmp(type, "RunStarted") == 0)
		events_mode(st, "on_chain_start", NULL, "input", json_object_get(event, "input"));
	else if (strcmp(type, "StepCompleted") == 0)
		step_completed(st, event);
	else if (strcmp(type, "StepFailed") == 0)
		step_failed(st, event);
	if (strcmp(type, "RunEnded") == 0) {
		ended(st, event);
	} else if (strcmp(type, "Interrupted") == 0) {
		interrupted(st, event, state);
	} else {
		values(st, event, state);
		if (state != NULL)
			new_tasks(st, event, state);
	}
	st->begun = 1;
	json_decref(state);
}
