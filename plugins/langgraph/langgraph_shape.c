/* langgraph_shape.c: states, checkpoints, interrupts and runs of the engine in the shapes that
 * LangGraph's clients know. Pure. */
#include "langgraph.h"

json_t *
lg_checkpoint_json(const char *thread_id, const json_t *place)
{
	const char *run_id = lg_text(place, "run_id");
	char id[LG_UUID_LEN + 24];

	if (run_id == NULL)
		return json_null();
	snprintf(id, sizeof id, "%.36s:%lld", run_id,
	    (long long)json_integer_value(json_object_get(place, "seq")));
	return json_pack("{s:s, s:s, s:s, s:n}", "thread_id", thread_id, "checkpoint_id", id,
	    "checkpoint_ns", "", "checkpoint_map");
}

json_t *
lg_interrupts_json(const json_t *interrupts)
{
	json_t *all = json_array(), *one;
	size_t i;

	json_array_foreach((json_t *)interrupts, i, one) json_array_append_new(all,
	    json_pack("{s:O*, s:O*}", "id", json_object_get(one, "id"), "value",
		json_object_get(one, "value")));
	return all;
}

/* Interrupts that a client can answer: a stop before or after a step is none. */
json_t *
lg_interrupts_of_nodes(const json_t *interrupts)
{
	json_t *all = json_array(), *some, *one;
	const char *when;
	size_t i;

	json_array_foreach((json_t *)interrupts, i, one)
	{
		when = lg_text(one, "when");
		if (when == NULL || strcmp(when, "node") == 0)
			json_array_append(all, one);
	}
	some = lg_interrupts_json(all);
	json_decref(all);
	return some;
}

/* A task's id is unique in the thread: the run's id and the step's number. */
json_t *
lg_task_id(const char *run_id, const json_t *task)
{
	const char *id = lg_text(task, "id");

	return json_sprintf("%s:%s", run_id == NULL ? "" : run_id, id == NULL ? "" : id);
}

static json_t *
task_json(const char *run_id, const json_t *task)
{
	const json_t *error = lg_get(task, "error");
	const char *message = json_is_string(error) ? json_string_value(error)
						    : lg_text(error, "message");

	return json_pack("{s:o, s:O*, s:s?, s:o, s:[s, O*], s:n, s:n, s:n}", "id",
	    lg_task_id(run_id, task), "name", json_object_get(task, "name"), "error", message,
	    "interrupts", lg_interrupts_json(json_object_get(task, "interrupts")), "path",
	    "__pregel_pull", json_object_get(task, "name"), "checkpoint", "state", "result");
}

json_t *
lg_values_json(const json_t *state)
{
	json_t *values = lg_get(state, "values");

	return values == NULL ? json_object() : json_incref(values);
}

json_t *
lg_state_metadata(const char *thread_id, const json_t *state)
{
	return json_pack("{s:O*, s:O*, s:{}, s:s, s:O*}", "source",
	    json_object_get(state, "source"), "step", json_object_get(state, "step"), "parents",
	    "thread_id", thread_id, "run_id", json_object_get(state, "run_id"));
}

json_t *
lg_tasks_json(const json_t *state)
{
	json_t *tasks = json_array(), *one;
	size_t i;

	json_array_foreach(json_object_get(state, "tasks"), i, one)
	    json_array_append_new(tasks, task_json(lg_text(state, "run_id"), one));
	return tasks;
}

json_t *
lg_state_json(const char *thread_id, const json_t *state)
{
	json_t *next = lg_get(state, "next");

	return json_pack("{s:o, s:o, s:o, s:o, s:O*, s:o, s:o, s:o}", "values",
	    lg_values_json(state), "next", next == NULL ? json_array() : json_incref(next), "tasks",
	    lg_tasks_json(state), "metadata", lg_state_metadata(thread_id, state), "created_at",
	    json_object_get(state, "ts"), "checkpoint", lg_checkpoint_json(thread_id, state),
	    "parent_checkpoint", lg_checkpoint_json(thread_id, lg_get(state, "parent")),
	    "interrupts", lg_interrupts_of_nodes(json_object_get(state, "interrupts")));
}

/* pending, running, error, success, timeout, interrupted */
static const char *
status_of(const char *status, const char *code)
{
	if (strcmp(status, "completed") == 0)
		return "success";
	if (strcmp(status, "failed") == 0)
		return code != NULL && strcmp(code, "timeout") == 0 ? "timeout" : "error";
	if (strcmp(status, "cancelled") == 0)
		return "interrupted";
	return status;
}

json_t *
lg_run_json(const ins_rows *rows, size_t i)
{
	const char *id = ins_value(rows, i, 0), *thread = ins_value(rows, i, 1);
	const char *assistant = ins_value(rows, i, 2), *strategy = ins_value(rows, i, 5);
	char own[LG_UUID_LEN + 1];

	if (assistant == NULL) {
		lg_uuid_of_name(ins_value(rows, i, 8), own);
		assistant = own;
	}
	return json_pack("{s:s, s:s, s:s, s:o, s:o, s:s, s:o, s:s}", "run_id", id, "thread_id",
	    thread == NULL ? id : thread, "assistant_id", assistant, "created_at",
	    lg_column_text(rows, i, 6), "updated_at", lg_column_text(rows, i, 7), "status",
	    status_of(ins_value(rows, i, 3), ins_value(rows, i, 9)), "metadata",
	    lg_column_json(rows, i, 4), "multitask_strategy",
	    strategy == NULL ? "enqueue" : strategy);
}
