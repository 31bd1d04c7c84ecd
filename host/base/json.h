/* json.h: the only entry for JSON that others wrote: caps on depth and size, duplicates refused,
 * UTF-8 checked, before jansson recurses over it. */
#ifndef HOST_JSON_H
#define HOST_JSON_H

#include <jansson.h>

#include "base/base.h"

#define JSON_DEPTH_MAX 128

/* NULL on error, with a sentence in err ("line 1 column 7: ..."). */
json_t *json_parse(const char *p, size_t n, char err[160]);
/* 1 if the bytes are valid UTF-8 without surrogates and overlong forms. */
int json_utf8_valid(const char *p, size_t n);

#endif
