/*
 * multipart.h: multipart/form-data bodies (RFC 7578 over RFC 2046 §5.1), whole in memory. Strict:
 * what a conforming sender never writes is an error with a sentence, never a guess. Pure; nothing
 * is copied.
 */
#ifndef KNOWLEDGE_MULTIPART_H
#define KNOWLEDGE_MULTIPART_H

#include <insula/insula.h>

#define MULTIPART_PARTS_MAX 32u
#define MULTIPART_HEAD_MAX 8192u /* bytes of one part's headers */
#define MULTIPART_BOUNDARY_MAX 70u

struct multipart_part {
	ins_str name, filename,
	    type; /* filename.p is NULL when there is none; type is "" when not said */
	ins_str body;
};

/* The boundary of a Content-Type header; 0, or -1 when that is not multipart/form-data with a
 * usable one. */
int multipart_boundary(ins_str content_type, ins_str *ret);
/* Splits a body. 0 and the parts, which point into it; -1 and a sentence. */
int multipart_parse(ins_str body, ins_str boundary,
    struct multipart_part parts[MULTIPART_PARTS_MAX], size_t *ret_n, char err[160]);

#endif
