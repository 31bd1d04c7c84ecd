/* usage.c: see usage.h. */
#include "tests/integration/usage.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/base.h"

struct client *c;
static unsigned turn; /* makes ids of this process new */

const char *
text(const json_t *j, const char *key)
{
	const char *z = json_string_value(json_object_get(j, key));

	return z != NULL ? z : "";
}

const char *
sql(const char *query)
{
	return servers_sql_super("%s", query);
}

long long
sql_number(const char *query)
{
	return atoll(sql(query));
}

void
nap(void)
{
	struct timespec t = { 0, 20 * 1000 * 1000 };

	nanosleep(&t, NULL); /* the state of another process: there is no event to wait for */
}

void
until_sql(const char *query, long long n)
{
	int64_t late = base_mono_us() + WAIT_S * INT64_C(1000000);

	while (sql_number(query) < n) {
		ck_assert_msg(base_mono_us() < late, "%s: %s, not %lld", query, sql(query), n);
		nap();
	}
}

const struct reply *
post(const char *body)
{
	return client_call(
	    c, "POST", "/v1/usage/events", "application/cloudevents+json", body, strlen(body));
}

const char *
fresh_id(void)
{
	static char id[64];

	snprintf(id, sizeof id, "%d-%u", (int)getpid(), turn++);
	return id;
}

static void
setup(void)
{
	c = house_client(0);
}

static void
teardown(void)
{
	client_free(c);
}

static const char price_list[] =
    "versions:\n"
    "  - version: first\n    valid_from: 2020-01-01\n"
    "    models:\n      priced: {input: 2500000, cached: 1250000, output: 10000000}\n"
    "      cheap: {input: 150001, cached: 75003, output: 600007}\n      extractive-1: {input: 0, "
    "output: 0}\n"
    "  - version: \"2026\"\n    valid_from: 2026-06-01\n"
    "    models: {up-echo: {input: 2000000, output: 3000000}, extractive-1: {input: 0, output: "
    "0}}\n";

static const char plugins[] =
    "  auth: {}\n  policy_static: {}\n  openai: {%s}\n  knowledge: {}\n  index_local: {}\n"
    "  model_extractive: {}\n  workflow_faq: {}\n  runs: {}\n  langgraph: {}\n  stepper: {}\n"
    "  metering: {config: {prices: %s}}\n"
    "  model_openai:\n    config:\n      providers:\n        - name: up\n          base_url: %%U\n"
    "          private_addresses: true\n          models:\n"
    "            - {id: up-echo, tier: SLM_B}\n            - {id: up-cut, tier: SLM_B}\n"
    "            - {id: up-error-mid, tier: SLM_B}\n            - {id: up-cut-clean, tier: SLM_B}\n"
    "            - {id: up-drip-50, tier: SLM_B}\n            - {id: up-status-400, tier: SLM_B}\n";

int
usage_main(const char *name, const char *openai, void (*add)(TCase *))
{
	Suite *suite = suite_create(name);
	TCase *t = tcase_create(name);
	char yaml[2400], dir[64], prices[100];
	SRunner *runner;
	FILE *f;
	int failed;

	snprintf(dir, sizeof dir, "%s", servers_temp_dir());
	snprintf(prices, sizeof prices, "%s/prices.yaml", dir);
	f = fopen(prices, "we");
	AN(f);
	fputs(price_list, f);
	fclose(f);
	snprintf(yaml, sizeof yaml, plugins, openai, prices);
	house_start(yaml, NULL, SERVERS_PG | SERVERS_NATS);
	tcase_set_timeout(t, 120);
	tcase_add_checked_fixture(t, setup, teardown);
	add(t);
	suite_add_tcase(suite, t);
	runner = srunner_create(suite);
	/* in a fork the host would be nobody's child, and could not be waited for */
	srunner_set_fork_status(runner, CK_NOFORK);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	house_stop();
	servers_remove(dir);
	return failed != 0;
}
