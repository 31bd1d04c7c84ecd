/* runner.c: see runner.h. */
#include "tests/lib/runner.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/base.h"

#include <check.h> /* last: its macro `fail` is a name of ours */

#define WAIT_S 20

struct client *c;
char trace[128];

const char *
text(const json_t *j, const char *key)
{
	const char *z = json_string_value(json_object_get(j, key));

	return z != NULL ? z : "";
}

json_int_t
number(const json_t *j, const char *key)
{
	return json_integer_value(json_object_get(j, key));
}

/* Begins a run of stepper; its id (static). */
const char *
begin(const char *input)
{
	static char id[40];
	char body[4096];
	const struct reply *r;

	snprintf(body, sizeof body, "{\"workflow\": \"stepper\", \"input\": %s}", input);
	r = client_post(c, "/v1/runs", body);
	ck_assert_msg(r->status == 202, "%d %s", r->status, r->body);
	snprintf(id, sizeof id, "%s", text(r->json, "run_id"));
	ck_assert_uint_eq(strlen(id), 36);
	return id;
}

/* Runs to the end; the answer, the client's until its next call. */
const json_t *
run(const char *input)
{
	char body[4096];
	const struct reply *r;

	snprintf(body, sizeof body, "{\"workflow\": \"stepper\", \"input\": %s}", input);
	r = client_post(c, "/v1/runs?wait=true", body);
	ck_assert_msg(r->status == 200, "%d %s", r->status, r->body);
	return r->json;
}

const json_t *
get(const char *id)
{
	char path[80];
	const struct reply *r;

	snprintf(path, sizeof path, "/v1/runs/%s", id);
	r = client_get(c, path);
	ck_assert_msg(r->status == 200, "%d %s", r->status, r->body);
	return r->json;
}

void
nap(void)
{
	struct timespec t = { 0, 20 * 1000 * 1000 };

	nanosleep(&t, NULL); /* the state of another process: there is no event to wait for */
}

/* Asks until the run has this status. */
const json_t *
until(const char *id, const char *status)
{
	int64_t late = base_mono_us() + WAIT_S * INT64_C(1000000);
	const json_t *j;

	for (;;) {
		j = get(id);
		if (strcmp(text(j, "status"), status) == 0)
			return j;
		ck_assert_msg(
		    base_mono_us() < late, "the run is %s, not %s", text(j, "status"), status);
		nap();
	}
}

/* The types of the events, as "RunStarted StepCompleted RunEnded"; checks that there is no gap. */
const char *
types(const json_t *run_json)
{
	static char all[2000];
	const json_t *events = json_object_get(run_json, "events"), *ev;
	size_t i;

	all[0] = '\0';
	json_array_foreach(events, i, ev)
	{
		ck_assert_int_eq(number(ev, "seq"), (json_int_t)i);
		snprintf(all + strlen(all), sizeof all - strlen(all), "%s%s", i == 0 ? "" : " ",
		    text(ev, "type"));
	}
	return all;
}

/* How often the file says that a step was called; name "" = any. */
int
called(const char *id, const char *name)
{
	char line[200], key[80], step[80];
	int n = 0;
	FILE *f = fopen(trace, "re");

	while (f != NULL && fgets(line, sizeof line, f) != NULL)
		if (sscanf(line, "%79s %79s", key, step) == 2 && strncmp(key, id, 36) == 0 &&
		    (*name == '\0' || strcmp(step, name) == 0))
			n++;
	if (f != NULL)
		fclose(f);
	return n;
}

void
until_called(const char *id, const char *name, int times)
{
	int64_t late = base_mono_us() + WAIT_S * INT64_C(1000000);

	while (called(id, name) < times) {
		ck_assert_msg(base_mono_us() < late, "step %s was not called", name);
		nap();
	}
}

void
crash(void)
{
	client_free(c);
	house_kill(SIGKILL);
	house_again();
	c = house_client(0);
}
