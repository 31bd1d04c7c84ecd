/*
 * log.c: log lines, built in a buffer and handed to the kernel with one write(2). Any thread.
 *
 * No lock and no buffer between lines: a line is either out or lost when the process dies, and
 * lines of several threads do not mix (a write to a file opened for appending, or up to PIPE_BUF to
 * a pipe, is atomic). A descriptor that takes no more loses lines, which are counted; the host
 * never waits for its log.
 */
#include "base/log.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <time.h>
#include <unistd.h>

#include "base/json.h"

static int log_fd = STDERR_FILENO;
static int log_min = INS_LOG_INFO;
static int log_pretty;
static uint64_t dropped;

static const char *const level_names[] = { "debug", "info", "warn", "error" };

void
log_init(int fd, int level, int pretty)
{
	ASSERT(level >= INS_LOG_DEBUG && level <= INS_LOG_ERROR);
	__atomic_store_n(&log_fd, fd, __ATOMIC_RELAXED);
	__atomic_store_n(&log_pretty, pretty, __ATOMIC_RELAXED);
	log_level_set(level);
}

int
log_level(void)
{
	return __atomic_load_n(&log_min, __ATOMIC_RELAXED);
}

void
log_level_set(int level)
{
	__atomic_store_n(&log_min, level, __ATOMIC_RELAXED);
}

uint64_t
log_dropped(void)
{
	return __atomic_load_n(&dropped, __ATOMIC_RELAXED);
}

/* 2025-01-31T12:00:00.123456Z, or 12:00:00.123 in local time for a person. The second's part is
 * kept per thread: breaking a time down costs more than the rest of a line. */
static void
add_time(struct str *s, int pretty)
{
	static __thread time_t cached = -1;
	static __thread int cached_pretty;
	static __thread char text[32];
	int64_t now = base_now_us();
	time_t sec = (time_t)(now / 1000000);
	struct tm tm;

	if (sec != cached || pretty != cached_pretty) {
		if (pretty) {
			localtime_r(&sec, &tm);
			strftime(text, sizeof text, "%H:%M:%S", &tm);
		} else {
			gmtime_r(&sec, &tm);
			strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &tm);
		}
		cached = sec;
		cached_pretty = pretty;
	}
	if (pretty)
		str_addf(s, "%s.%03d", text, (int)(now % 1000000 / 1000));
	else
		str_addf(s, "%s.%06dZ", text, (int)(now % 1000000));
}

static void
add_head(struct log_line *l)
{
	if (l->pretty) {
		add_time(&l->s, 1);
		str_addf(&l->s, " %-5s ", level_names[l->level]);
		str_addz(&l->s, l->event);
	} else {
		str_addz(&l->s, "{\"ts\":\"");
		add_time(&l->s, 0);
		str_addz(&l->s, "\",\"level\":\"");
		str_addz(&l->s, level_names[l->level]);
		str_addz(&l->s, "\",\"event\":");
		str_add_json(&l->s, l->event, strlen(l->event));
	}
	l->fields = l->s.n;
}

int
log_begin(struct log_line *l, int level, const char *event)
{
	if (level < log_level())
		return 0;
	ASSERT(level <= INS_LOG_ERROR);
	str_init(&l->s, LOG_LINE_MAX);
	l->level = level;
	l->pretty = __atomic_load_n(&log_pretty, __ATOMIC_RELAXED);
	l->event = event;
	add_head(l);
	return 1;
}

static void
add_key(struct log_line *l, const char *key)
{
	if (l->pretty) {
		str_add(&l->s, " ", 1);
		str_addz(&l->s, key);
		str_add(&l->s, "=", 1);
	} else {
		str_add(&l->s, ",", 1);
		str_add_json(&l->s, key, strlen(key));
		str_add(&l->s, ":", 1);
	}
}

/* A person reads the text of "msg" best without quotes; control characters stay escaped, so that
 * what a client sent cannot move the cursor of a terminal. */
static int
plain(const char *z)
{
	for (; *z != '\0'; z++)
		if ((unsigned char)*z < 0x20 || (unsigned char)*z == 0x7f)
			return 0;
	return 1;
}

static void
add_text(struct log_line *l, const char *key, const char *value)
{
	if (l->pretty && strcmp(key, "msg") == 0 && plain(value) &&
	    json_utf8_valid(value, strlen(value))) {
		str_add(&l->s, ": ", 2);
		str_addz(&l->s, value);
		return;
	}
	add_key(l, key);
	str_add_json(&l->s, value, strlen(value));
}

void
log_str(struct log_line *l, const char *key, const char *value)
{
	if (value != NULL && value[0] != '\0')
		add_text(l, key, value);
}

void
log_int(struct log_line *l, const char *key, int64_t value)
{
	add_key(l, key);
	str_addf(&l->s, "%lld", (long long)value);
}

void
log_num(struct log_line *l, const char *key, double value, int decimals)
{
	add_key(l, key);
	if (isfinite(value))
		str_addf(&l->s, "%.*f", decimals, value);
	else
		str_addz(&l->s, "null");
}

static int
add_dumped(const char *p, size_t n, void *arg)
{
	str_add(arg, p, n);
	return 0;
}

void
log_json(struct log_line *l, const json_t *object)
{
	const char *key;
	json_t *value;

	if (!json_is_object(object))
		return;
	/* the macro wants a non-const object; nothing is changed */
	json_object_foreach((json_t *)(uintptr_t)object, key, value)
	{
		if (json_is_string(value)) {
			add_text(l, key, json_string_value(value));
		} else {
			add_key(l, key);
			json_dump_callback(
			    value, add_dumped, &l->s, JSON_COMPACT | JSON_ENCODE_ANY);
		}
	}
}

static void
put(const char *p, size_t n)
{
	int fd = __atomic_load_n(&log_fd, __ATOMIC_RELAXED);
	ssize_t r;

	do {
		r = write(fd, p, n);
	} while (r < 0 && errno == EINTR);
	if (r != (ssize_t)n)
		__atomic_fetch_add(&dropped, 1, __ATOMIC_RELAXED);
}

void
log_end(struct log_line *l)
{
	if (l->s.overflow) {
		l->s.overflow = 0;
		l->s.n = l->fields;
		add_key(l, "truncated");
		str_addz(&l->s, "true");
	}
	l->s.max += 2; /* the end of the line always fits */
	str_addz(&l->s, l->pretty ? "\n" : "}\n");
	if (l->s.n > 0)
		put(l->s.p, l->s.n);
	str_fini(&l->s);
}

void
log_event(int level, const char *event, json_t *fields)
{
	struct log_line l;

	if (log_begin(&l, level, event)) {
		log_json(&l, fields);
		log_end(&l);
	}
	json_decref(fields);
}

void
log_msg(int level, const char *event, const char *fmt, ...)
{
	char text[LOG_LINE_MAX / 8];
	struct log_line l;
	va_list ap;

	if (!log_begin(&l, level, event))
		return;
	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	log_str(&l, "msg", text);
	log_end(&l);
}
