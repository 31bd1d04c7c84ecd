/*
 * usage.h: what the tests of metering share: a house with prices, runs and an upstream, and a
 * client for each test. They run without forks: a host that is killed and started again is a child
 * of the process that runs them.
 */
#ifndef TESTS_USAGE_H
#define TESTS_USAGE_H

#include "tests/lib/house.h"

#include <check.h> /* last: its macro `fail` is a name of ours */

#define WAIT_S 30
#define HEAD "\"specversion\": \"1.0\", \"source\": \"/test\", \"type\": \"t\""

extern struct client *c; /* of the first tenant, anew for each test */

/* A member's text, "" when there is none. */
const char *text(const json_t *, const char *key);
/* The first value of a superuser's query; until the next. */
const char *sql(const char *query);
long long sql_number(const char *query);
/* Waits a little for the state of another process, of which there is no event. */
void nap(void);
/* Asks until the query's number is at least n. */
void until_sql(const char *query, long long n);
/* One CloudEvent. */
const struct reply *post(const char *body);
/* An id that no event had; until the next. */
const char *fresh_id(void);

/* Starts the house, runs the tests, stops it: main's result. openai: options of that plugin, as
 * "config: {...}", or "". */
int usage_main(const char *name, const char *openai, void (*add)(TCase *));

#endif
