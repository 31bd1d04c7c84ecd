/* fuzz_json.c: what json_parse accepts is flat, valid UTF-8 and survives a round trip; what it
 * refuses comes with a sentence; and what our own writer quotes it reads back. */
#include "base/json.h"
#include "base/str.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static unsigned
depth_of(const json_t *j)
{
	unsigned deepest = 0, d;
	const char *key;
	json_t *v;
	size_t i;

	if (json_is_array(j)) {
		json_array_foreach(j, i, v)
		{
			d = depth_of(v);
			deepest = d > deepest ? d : deepest;
		}
		return deepest + 1;
	}
	if (json_is_object(j)) {
		json_object_foreach((json_t *)(uintptr_t)j, key, v)
		{
			d = depth_of(v);
			deepest = d > deepest ? d : deepest;
		}
		return deepest + 1;
	}
	return 0;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *p = (const char *)data;
	char err[JSON_ERR_MAX];
	json_t *j = json_parse(p, size, err), *back;
	struct str s;
	char *text;

	if (j == NULL) {
		ASSERT(strncmp(err, "line ", 5) == 0 && strlen(err) > 16);
	} else {
		ASSERT(err[0] == '\0');
		ASSERT(json_utf8_valid(p, size));
		ASSERT(depth_of(j) <= JSON_DEPTH_MAX);
		text = json_dumps(j, JSON_COMPACT | JSON_ENCODE_ANY);
		if (text != NULL) { /* NULL: a number that jansson reads but does not write */
			back = json_parse(text, strlen(text), err);
			ASSERT(back != NULL);
			json_decref(back);
		}
		free(text);
		json_decref(j);
	}

	str_init(&s, 8 * size + 16);
	str_add_json(&s, p, size);
	AZ(s.overflow);
	j = json_loadb(s.p, s.n, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
	AN(j);
	json_decref(j);
	str_fini(&s);
	return 0;
}
