/*
 * check_leaks: after 10,000 requests of every kind (answers, streams, cut streams, refusals,
 * clients that leave) the host has as many descriptors as before and within 5 % the memory. Under a
 * sanitizer, whose own bookkeeping grows, fewer requests and the descriptors alone.
 */
#include "tests/lib/house.h"

#include <check.h>
#include <time.h>

#include "base/base.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED 1
#endif
#endif
#ifndef SANITIZED
#define SANITIZED 0
#endif

#define REQUESTS (SANITIZED ? 1000 : 10000)
#define WARM_UP (REQUESTS / 4) /* pools and caches fill */
#define SETTLE_MS 30000
#define CLIENT_EVERY 100 /* requests before a client comes back with a new connection */

static const char plugins[] =
    "  auth: {}\n  hello: {}\n  policy_static: {}\n  openai: {}\n  model_openai:\n    config:\n"
    "      providers:\n"
    "        - name: up\n          base_url: %U\n          private_addresses: true\n"
    "          models:\n"
    "            - {id: up-echo, tier: SLM_B}\n            - {id: up-tools, tier: SLM_B}\n"
    "            - {id: up-cut, tier: SLM_B}\n            - {id: up-drip-5, tier: SLM_B}\n"
    "            - {id: up-status-500, tier: SLM_B}\n";

struct kind {
	const char *model; /* NULL = the hello route */
	int stream, status;
	const char *leave_at;
};

/* One of these after the other; leaving clients more rarely, since each costs a wait. */
static const struct kind kinds[] = {
	{ NULL, 0, 200, NULL },
	{ "up-echo", 0, 200, NULL },
	{ NULL, 0, 200, NULL },
	{ "up-echo", 1, 200, NULL },
	{ NULL, 0, 200, NULL },
	{ "up-tools", 1, 200, NULL },
	{ NULL, 0, 200, NULL },
	{ "up-cut", 1, 200, NULL },
	{ "up-status-500", 0, 502, NULL },
	{ "none", 0, 404, NULL },
};
static const struct kind leaving = { "up-drip-5", 1, 200, "w01" };

static void
one(struct client *c, const struct kind *k)
{
	const struct reply *r;
	char body[256];

	if (k->model == NULL) {
		r = client_get(c, "/v1/hello/world");
	} else {
		snprintf(body, sizeof body,
		    "{\"model\":\"%s\",\"stream\":%s,\"messages\":[{\"role\":\"user\","
		    "\"content\":\"hi\"}]}",
		    k->model, k->stream ? "true" : "false");
		r = client_post_until(c, "/v1/chat/completions", body, k->leave_at);
	}
	ck_assert_msg(r->status == k->status, "%s: %d %s", k->model == NULL ? "hello" : k->model,
	    r->status, r->body);
}

static void
many(int n)
{
	struct client *c = NULL;
	int i;

	for (i = 0; i < n; i++) {
		if (i % CLIENT_EVERY == 0) {
			client_free(c);
			c = house_client(i / CLIENT_EVERY % HOUSE_TENANTS);
		}
		one(c, i % 50 == 49 ? &leaving : &kinds[(size_t)i % NELEM(kinds)]);
	}
	client_free(c);
}

/* Closing is the kernel's and the loops' work: waits until there are no more than `wanted`, or,
 * with -1, until the number has stood still for half a second. */
static int
settled_descriptors(int wanted)
{
	struct timespec pause = { 0, 20 * 1000 * 1000 };
	int64_t late = base_mono_us() + SETTLE_MS * INT64_C(1000);
	json_t *j = upstream_wait(house_upstream(), "active==0");
	int n = house_descriptors(), still = 0, now;

	ck_assert_ptr_nonnull(j);
	json_decref(j);
	while (base_mono_us() < late && (wanted >= 0 ? n > wanted : still < 25)) {
		nanosleep(&pause, NULL);
		now = house_descriptors();
		still = now == n ? still + 1 : 0;
		n = now;
	}
	return n;
}

START_TEST(ten_thousand_requests_leave_nothing_behind)
{
	int before, after;
	long rss, rss_after;

	many(WARM_UP);
	before = settled_descriptors(-1);
	rss = house_rss();
	many(REQUESTS);
	after = settled_descriptors(before);
	rss_after = house_rss();
	printf("%d requests: descriptors %d, then %d; resident %ld KiB, then %ld KiB\n", REQUESTS,
	    before, after, rss / 1024, rss_after / 1024);
	ck_assert_int_le(after, before);
	if (!SANITIZED)
		ck_assert_msg((double)rss_after <= (double)rss * 1.05,
		    "resident memory grew from %ld to %ld KiB", rss / 1024, rss_after / 1024);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("leaks");
	TCase *t = tcase_create("leaks");
	SRunner *runner;
	int failed;

	house_start(plugins, "access_log: false", SERVERS_PG);
	tcase_set_timeout(t, 600);
	tcase_add_test(t, ten_thousand_requests_leave_nothing_behind);
	suite_add_tcase(suite, t);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	house_stop();
	return failed != 0;
}
