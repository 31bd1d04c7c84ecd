/* instant.h: RFC 3339 times and calendar days of UTC. Pure. */
#ifndef METERING_INSTANT_H
#define METERING_INSTANT_H

#include <stddef.h>
#include <stdint.h>

#define INSTANT_MIN_US INT64_C(946684800000000)  /* 2000-01-01 */
#define INSTANT_MAX_US INT64_C(4102444800000000) /* 2100-01-01 */
#define INSTANT_DAY_US INT64_C(86400000000)

/* "2026-11-01T12:30:00.25+02:00" or "...Z"; digits below a microsecond are cut off. 0; -1 when it
 * is none, or not between 2000 and 2100. */
int instant_parse(const char *z, int64_t *ret_us);
/* "2026-11-01": its first microsecond. */
int instant_parse_day(const char *z, int64_t *ret_us);
/* "2026-11-01" */
void instant_print_day(int64_t us, char ret[11]);

#endif
