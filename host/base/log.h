/* log.h: one JSON object per line on a file descriptor (standard error), written whole. Any thread.
 * Levels are INS_LOG_*. ts is RFC 3339 UTC with microseconds. */
#ifndef HOST_LOG_H
#define HOST_LOG_H

#include <insula/insula.h>
#include <jansson.h>

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

#endif
