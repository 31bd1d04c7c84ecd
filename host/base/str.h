/* str.h: a growing byte buffer that states its maximum when it is made. */
#ifndef HOST_STR_H
#define HOST_STR_H

#include <stdarg.h>

#include "base/base.h"

struct str {
	char *p; /* NUL-terminated once anything was added; NULL before */
	size_t n, cap, max;
	int overflow; /* set once something did not fit; nothing is added from then on */
};

void str_init(struct str *, size_t max);
void str_fini(struct str *);
void str_reset(struct str *);
void str_add(struct str *, const void *p, size_t n);
void str_addz(struct str *, const char *z);
void str_addf(struct str *, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Adds z as a quoted JSON string; invalid UTF-8 becomes U+FFFD. */
void str_add_json(struct str *, const char *p, size_t n);

#endif
