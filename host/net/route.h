/*
 * route.h: an immutable table from method and path to a pointer. Built once per generation, read by
 * all loops.
 *
 * Patterns: "/v1/runs/{id}", "/files/{rest*}" (last part only). A literal beats a parameter,
 * whatever the order of registration. Matching allocates nothing and looks at each byte of the path
 * once per level.
 */
#ifndef HOST_ROUTE_H
#define HOST_ROUTE_H

#include "base/base.h"

#define ROUTE_PARAMS_MAX 8
#define ROUTES_MAX 2048

struct route_table;
struct route_match {
	void *data; /* of the matching route */
	unsigned n_params;
	struct {
		const char *name; /* of the table */
		const char *p;    /* into the path, not decoded */
		size_t n;
	} params[ROUTE_PARAMS_MAX];
};
enum route_result { ROUTE_FOUND, ROUTE_NO_PATH, ROUTE_NO_METHOD };

struct route_table *route_new(void);
void route_free(struct route_table *);
/* NULL, or a sentence about why not (bad pattern, duplicate, too many); static or until the next
 * call. */
const char *route_add(struct route_table *, const char *method, const char *pattern, void *data);
/* path without query. ROUTE_NO_METHOD fills allow with "GET, POST" for the Allow header. HEAD falls
 * back to GET. */
enum route_result route_match(const struct route_table *, const char *method, size_t method_n,
    const char *path, size_t path_n, struct route_match *ret, char allow[64]);

#endif
