/* array.h: PostgreSQL array literals, '{...}', as text parameters of the batch statements. Pure;
 * one growing buffer, freed by array_free. A failed allocation shows in array_text() as NULL. */
#ifndef RUNS_ARRAY_H
#define RUNS_ARRAY_H

#include <insula/insula.h>

struct array {
	char *p;
	size_t n, cap;
	int failed;
};

void array_int(struct array *, int64_t v);
/* Quoted and escaped; NULL adds NULL. */
void array_text_z(struct array *, const char *z);
void array_json(struct array *, const json_t *);
/* Microseconds since 1970 as a timestamptz; 0 adds NULL. */
void array_time(struct array *, int64_t us);
void array_null(struct array *);
/* Closes it. Borrowed until array_free. */
ins_arg array_arg(struct array *);
void array_free(struct array *);

#endif
