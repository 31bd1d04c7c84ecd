/* json.h: the only entry for JSON that others wrote: caps on depth and size, duplicates refused,
 * UTF-8 checked, before jansson recurses over it. */
#ifndef HOST_JSON_H
#define HOST_JSON_H

#include <jansson.h>

#include "base/base.h"

#define JSON_DEPTH_MAX 128
#define JSON_ERR_MAX 160 /* bytes of an error sentence with its NUL */

/*
 * Any JSON value (RFC 8259), also a bare number or string. NULL on error, with a sentence in err
 * ("line 1 column 7: ..."). An escaped NUL (\u0000) is refused, since neither C strings nor
 * PostgreSQL's text hold one. The caller has capped n.
 */
json_t *json_parse(const char *p, size_t n, char err[JSON_ERR_MAX]);
/* 1 if the bytes are valid UTF-8 without surrogates and overlong forms. */
int json_utf8_valid(const char *p, size_t n);
/* Length of the valid UTF-8 sequence at p (1 to 4), 0 if there is none. */
size_t json_utf8_len(const char *p, size_t n);

#endif
