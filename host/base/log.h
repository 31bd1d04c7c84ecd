/*
 * log.h: one JSON object per line on a file descriptor (standard error), written whole. Any thread.
 * Levels are INS_LOG_*. ts is RFC 3339 UTC with microseconds.
 *
 * Never put into a line: credentials, keys, tokens, passwords, a URL with user information, request
 * or reply bodies, or the text of a tenant's document. There is no filter behind this; the caller
 * decides what is said.
 */
#ifndef HOST_LOG_H
#define HOST_LOG_H

#include <insula/insula.h>
#include <jansson.h>

#include "base/str.h"

#define LOG_LINE_MAX 16384u /* bytes; a longer line loses its fields and says "truncated" */

void log_init(
    int fd, int level, int pretty); /* pretty: short text lines for a person at a terminal */
int log_level(void);
void log_level_set(int level);
/* fields: an object or NULL, stolen. ctx-free form; task_log() in loop/task.h adds the ids. */
void log_event(int level, const char *event, json_t *fields);
/* Convenience: log_msg(INS_LOG_INFO, "pg.connected", "socket %s", path) puts the text under "msg".
 */
void log_msg(int level, const char *event, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* Lines that the descriptor did not take (a full pipe that does not block, a closed terminal). */
uint64_t log_dropped(void);

/*
 * A line built in place, for what is written once per request: no json_t, one allocation.
 *
 *	struct log_line l;
 *
 *	if (log_begin(&l, INS_LOG_INFO, "http.request")) {
 *		log_str(&l, "method", method);
 *		log_int(&l, "status", 200);
 *		log_end(&l);
 *	}
 */
struct log_line {
	struct str s;
	int level, pretty;
	const char *event;
	size_t fields; /* where they begin in s */
};
/* 0 when the level is below what is logged: add nothing, do not call log_end. */
int log_begin(struct log_line *, int level, const char *event);
void log_str(struct log_line *, const char *key, const char *value); /* NULL and "" are left out */
void log_int(struct log_line *, const char *key, int64_t value);
void log_num(struct log_line *, const char *key, double value, int decimals);
void log_json(struct log_line *, const json_t *object); /* its members; NULL adds nothing */
void log_end(struct log_line *);

#endif
