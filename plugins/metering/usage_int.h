/* usage_int.h: what usage.c and usage_cloudevent.c share. */
#ifndef METERING_USAGE_INT_H
#define METERING_USAGE_INT_H

#include "instant.h"
#include "usage.h"

/* Writes "KEY WHY" and returns -1. */
int usage_refuse(char err[USAGE_ERR_MAX], const char *key, const char *why);
/* A member's text, "" when it is absent and may be. */
int usage_text(const json_t *, const char *key, unsigned max, int required, const char **ret,
    char err[USAGE_ERR_MAX]);
/* A member's number; an absent one leaves *ret. */
int usage_count(const json_t *, const char *key, int64_t *ret, char err[USAGE_ERR_MAX]);
/* prompt_tokens and so on, and cost_nanos. */
int usage_counts(const json_t *, struct usage_line *, char err[USAGE_ERR_MAX]);
int usage_digest(const char *p, size_t n, char ret[USAGE_HASH_HEX + 1]);

#endif
