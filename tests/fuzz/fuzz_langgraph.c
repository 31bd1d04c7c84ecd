/* fuzz_langgraph.c: an id of a checkpoint, of an event and of a namespace, of anybody's. */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "plugins/langgraph/langgraph_id.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void
checkpoint(const char *z, size_t n)
{
	struct lg_checkpoint at;
	char again[64], id[LG_UUID_LEN + 1];

	if (!lg_checkpoint_parse(z, n, &at))
		return;
	assert(at.seq >= 0 && at.seq <= LG_SEQ_MAX && lg_uuid(at.run_id, id));
	snprintf(again, sizeof again, "%s:%lld", at.run_id, (long long)at.seq);
	assert(strlen(again) == n && strncasecmp(again, z, n) == 0);
}

static void
place(const char *z, size_t n)
{
	struct lg_place at;

	char id[LG_UUID_LEN + 1], again[LG_UUID_LEN + 1];
	int end;

	if (lg_place_parse(z, n, &at))
		assert(at.after >= -1 && at.after <= LG_SEQ_MAX);
	if (lg_thread_place_parse(z, n, id, &at, &end))
		assert(lg_uuid(id, again) && strcmp(id, again) == 0 && at.after >= -1 &&
		    at.after <= LG_SEQ_MAX && (!end || at.frames == 0));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	char *z = malloc(n + 1);
	json_t *labels, *back;

	memcpy(z, data, n);
	z[n] = '\0';
	checkpoint((const char *)data, n);
	place((const char *)data, n);
	labels = lg_namespace_parse(z);
	if (labels != NULL)
		assert(lg_namespace_fault(labels, 1, 0) == NULL);
	back = json_loads(z, 0, NULL);
	if (back != NULL)
		(void)lg_namespace_fault(back, 0, 1);
	json_decref(labels);
	json_decref(back);
	free(z);
	return 0;
}
