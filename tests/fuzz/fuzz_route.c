/* fuzz_route.c: lines "+METHOD PATTERN" are added to a table, all others are paths to match. What
 * matches must lie inside the path. */
#include "net/route.h"

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

static void
match(const struct route_table *t, const char *p, size_t n)
{
	static const char *const methods[] = { "GET", "HEAD", "POST" };
	struct route_match m;
	char allow[64];
	size_t i;
	unsigned k;

	for (i = 0; i < NELEM(methods); i++) {
		if (route_match(t, methods[i], strlen(methods[i]), p, n, &m, allow) != ROUTE_FOUND)
			continue;
		ASSERT(m.n_params <= ROUTE_PARAMS_MAX && m.data == t);
		for (k = 0; k < m.n_params; k++) {
			ASSERT(m.params[k].n > 0 && strlen(m.params[k].name) > 0);
			ASSERT(m.params[k].p > p && m.params[k].p + m.params[k].n <= p + n);
		}
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct route_table *t = route_new();
	const char *p = (const char *)data, *end = p + n, *eol;
	char *line, *space;

	for (; p < end; p = eol + 1) {
		eol = memchr(p, '\n', (size_t)(end - p));
		if (eol == NULL)
			eol = end;
		if (*p != '+') {
			match(t, p, (size_t)(eol - p));
			continue;
		}
		line = base_alloc((size_t)(eol - p) + 1);
		memcpy(line, p, (size_t)(eol - p));
		space = strchr(line, ' ');
		if (space != NULL) {
			*space = '\0';
			route_add(t, line + 1, space + 1, t);
		}
		free(line);
	}
	route_free(t);
	return 0;
}
