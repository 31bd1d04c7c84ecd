/* fuzz_usage: JSON as a CloudEvent and as an event of the SDK; what is taken is priced. */
#include <stdlib.h>
#include <string.h>

#include "plugins/metering/instant.h"
#include "plugins/metering/usage.h"

#define NOW INT64_C(1793491200000000)

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

static const char list[] =
    "versions: [{version: v, valid_from: 2020-01-01, models: {m: {input: 2500000, output: "
    "1000000000000000}, x: {input: 1, cached: 0, output: 3}}}]";

static void
check(struct usage_event *ev, const struct prices *prices)
{
	unsigned i;

	if (ev->n_lines < 1 || ev->n_lines > USAGE_LINES_MAX || ev->source[0] == '\0' ||
	    ev->id[0] == '\0' || strlen(ev->source) > USAGE_NAME_MAX ||
	    strlen(ev->id) > USAGE_NAME_MAX || strlen(ev->hash) != USAGE_HASH_HEX ||
	    ev->time_us < INSTANT_MIN_US || ev->time_us >= INSTANT_MAX_US)
		__builtin_trap();
	usage_price(ev, prices);
	for (i = 0; i < ev->n_lines; i++) {
		const struct usage_counts *c = &ev->lines[i].counts;

		if (c->prompt_tokens < 0 || c->completion_tokens < 0 || c->cached_tokens < 0 ||
		    c->tool_calls < 0 || c->duration_ms < 0 || c->quantity < 0 ||
		    c->cached_tokens > c->prompt_tokens || ev->lines[i].cost < 0)
			__builtin_trap();
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static struct usage_line lines[USAGE_LINES_MAX];
	static struct prices *prices;
	struct usage_event ev = { .lines = lines };
	char err[USAGE_ERR_MAX], why[PRICES_ERR_MAX];
	json_t *j;

	if (prices == NULL) {
		j = prices_yaml(list, sizeof list - 1, why);
		prices = prices_new(j, why);
		json_decref(j);
	}
	j = json_loadb((const char *)data, n, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, NULL);
	if (j == NULL)
		return 0;
	if (usage_parse_cloudevent(j, NOW, NOW, &ev, err) == 0) {
		if ((ev.data == NULL) != (ev.data_text == NULL))
			__builtin_trap();
		check(&ev, prices);
	}
	usage_fini(&ev);
	if (usage_parse(j, NOW, "w", "r", &ev, err) == 0)
		check(&ev, prices);
	json_decref(j);
	return 0;
}
