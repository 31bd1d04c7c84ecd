/* fold_event.c: an event by itself. See fold.h. */
#include <stdlib.h>
#include <time.h>

#include "fold_int.h"

const char *const event_type_names[EV_TYPES] = { "RunStarted", "StepScheduled", "StepCompleted",
	"StepFailed", "TimerFired", "SignalReceived", "Interrupted", "Resumed", "CancelRequested",
	"BudgetHit", "RunEnded" };

enum event_type
event_type_parse(const char *name)
{
	int i;

	for (i = 0; i < EV_TYPES; i++)
		if (name != NULL && strcmp(name, event_type_names[i]) == 0)
			break;
	return (enum event_type)i;
}

struct run_event *
run_event_new(
    enum event_type type, int32_t step_id, int32_t attempt, const char *node, json_t *data)
{
	struct run_event *ev = calloc(1, sizeof *ev);

	if (ev == NULL || data == NULL) {
		json_decref(data);
		free(ev);
		return NULL;
	}
	ev->type = type;
	ev->step_id = step_id;
	ev->attempt = attempt;
	snprintf(ev->node, sizeof ev->node, "%s", node == NULL ? "" : node);
	ev->data = data;
	ev->bytes = json_dumpb(data, NULL, 0, JSON_COMPACT);
	return ev;
}

void
run_event_free(struct run_event *ev)
{
	if (ev == NULL)
		return;
	json_decref(ev->data);
	free(ev);
}

void
fold_time_text(int64_t us, char out[40])
{
	time_t s = (time_t)(us / 1000000);
	struct tm tm;
	size_t n;

	gmtime_r(&s, &tm);
	n = strftime(out, 40, "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(out + n, 40 - n, ".%06dZ", (int)(us % 1000000));
}

int64_t
fold_time_parse(const char *z)
{
	struct tm tm = { 0 };
	int us;

	if (z == NULL ||
	    sscanf(z, "%4d-%2d-%2dT%2d:%2d:%2d.%6dZ", &tm.tm_year, &tm.tm_mon, &tm.tm_mday,
		&tm.tm_hour, &tm.tm_min, &tm.tm_sec, &us) != 7)
		return 0;
	tm.tm_year -= 1900;
	tm.tm_mon -= 1;
	return (int64_t)timegm(&tm) * 1000000 + us;
}

json_t *
run_event_json(const struct run_event *ev)
{
	json_t *j = json_object();
	char ts[40];

	fold_time_text(ev->ts_us, ts);
	json_object_set_new(j, "seq", json_integer(ev->seq));
	json_object_set_new(j, "type", json_string(event_type_names[ev->type]));
	if (ev->step_id >= 0) {
		json_object_set_new(j, "step", json_integer(ev->step_id));
		json_object_set_new(j, "name", json_string(ev->node));
		json_object_set_new(j, "attempt", json_integer(ev->attempt));
	}
	json_object_set_new(j, "ts", json_string(ts));
	json_object_update(j, ev->data);
	if (ev->type == EV_RUN_STARTED)
		json_object_del(j, "snapshot");
	return j;
}

json_t *
fold_error(const char *code, const char *message)
{
	json_t *j = json_pack("{s:s, s:s}", "code", code, "message", message);

	/* A text that is not UTF-8 must not make the error disappear. */
	return j != NULL ? j
			 : json_pack("{s:s, s:s}", "code", code, "message", "(unreadable message)");
}

const char *
fold_code_name(int code)
{
	switch (code < 0 ? -code : code) {
#define INS_X(name, number, status, type, text, retry) \
	case number: return text != NULL ? text : "invalid_request";
		INS_ERRORS(INS_X)
#undef INS_X
	default: return "internal_error";
	}
}

int
fold_code_retryable(int code)
{
	switch (code < 0 ? -code : code) {
#define INS_X(name, number, status, type, text, retry) \
	case number: return retry;
		INS_ERRORS(INS_X)
#undef INS_X
	default: return 0;
	}
}
