/*
 * check_reload.c: a storm of reloads under load. hello is replaced every 50 ms by a build with
 * another hash while clients ask it on kept-alive connections; no request may fail, every build is
 * mapped once, and one image is left.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/base.h"
#include "plugin/stage.h"
#include "tests/lib/client.h"
#include "tests/lib/host.h"

#include <check.h> /* last: its macro `fail` is a name of ours */

#define STORM_MS 10000
#define STEP_MS 50
#define CLIENTS 4

static atomic_int over;
static char file[256];

struct worker {
	pthread_t thread;
	unsigned long good, bad;
	char first_bad[200];
};

static void *
work(void *arg)
{
	struct worker *w = arg;
	struct client *c = client_new(host_url(), NULL);

	while (!over) {
		const struct reply *r = client_get(c, "/v1/hello/storm");

		if (r->status == 200 && r->json != NULL) {
			w->good++;
		} else if (w->bad++ == 0) {
			snprintf(w->first_bad, sizeof w->first_bad, "status %d: %.150s", r->status,
			    r->body != NULL ? r->body : "");
		}
	}
	client_free(c);
	return NULL;
}

/* hello.so with some bytes behind its end: the same plugin, another hash. */
static void
build(unsigned number)
{
	char from[512], tmp[300];
	FILE *in, *out;
	size_t n;
	char *p = base_alloc(4 << 20);

	snprintf(from, sizeof from, "%s/hello.so", host_modules());
	snprintf(tmp, sizeof tmp, "%s.tmp", file);
	in = fopen(from, "rb");
	ck_assert_ptr_nonnull(in);
	n = fread(p, 1, 4 << 20, in);
	fclose(in);
	out = fopen(tmp, "wb");
	ck_assert_ptr_nonnull(out);
	ck_assert_uint_eq(fwrite(p, 1, n, out), n);
	fprintf(out, "build %u", number);
	fclose(out);
	ck_assert_int_eq(rename(tmp, file), 0);
	free(p);
}

static unsigned
mapped(const char *name)
{
	FILE *f = fopen("/proc/self/maps", "r");
	char line[1024], last[1024] = "", *path;
	unsigned n = 0;

	while (fgets(line, sizeof line, f) != NULL) {
		path = strchr(line, '/');
		if (path == NULL || strstr(path, name) == NULL || strcmp(path, last) == 0)
			continue;
		snprintf(last, sizeof last, "%s", path);
		n++;
	}
	fclose(f);
	return n;
}

struct left {
	unsigned images, mapped;
};

/* Images belong to the control thread: there none is half gone. */
static void
count(void *arg)
{
	struct left *l = arg;

	l->images = stage_images("hello");
	l->mapped = mapped("/stage/hello.");
}

static int64_t
now_ms(void)
{
	return base_mono_us() / 1000;
}

START_TEST(reloads_under_load_lose_no_request_and_leave_one_image)
{
	struct worker w[CLIENTS];
	struct left left;
	unsigned long good = 0;
	unsigned reloads = 0, i;
	uint64_t opened, closed;
	int64_t began, next, late;
	struct timespec ts;
	char yaml[600];

	memset(w, 0, sizeof w);
	snprintf(file, sizeof file, "/tmp/insula-reload-%d.so", (int)getpid());
	build(0);
	snprintf(yaml, sizeof yaml, "plugins: {anyone: {config: {pause: 3ms}}, hello: {file: %s}}",
	    file);
	host_start(yaml);
	opened = stage_opened();
	for (i = 0; i < CLIENTS; i++)
		ck_assert_int_eq(pthread_create(&w[i].thread, NULL, work, &w[i]), 0);
	began = now_ms();
	for (next = began; now_ms() - began < STORM_MS; next += STEP_MS) {
		const char *why;

		build(++reloads);
		why = host_reload("hello", NULL);
		ck_assert_msg(why == NULL, "reload %u: %s", reloads, why);
		late = now_ms() - next;
		if (late < STEP_MS) {
			ts.tv_sec = 0;
			ts.tv_nsec = (STEP_MS - late) * 1000000;
			nanosleep(&ts, NULL); /* the pace of the storm, not a wait for anything */
		}
	}
	over = 1;
	for (i = 0; i < CLIENTS; i++) {
		pthread_join(w[i].thread, NULL);
		ck_assert_msg(
		    w[i].bad == 0, "%lu failed, the first with %s", w[i].bad, w[i].first_bad);
		good += w[i].good;
	}
	ck_assert_uint_gt(good, 100);
	ck_assert_uint_eq(stage_opened() - opened, reloads);
	/* The last old generation goes when the control thread gets to it. */
	for (i = 0; i < 1000; i++) {
		host_control(count, &left);
		if (left.images == 1)
			break;
	}
	ck_assert_uint_eq(left.images, 1);
	ck_assert_uint_eq(left.mapped, 1);
	printf("%u reloads, %lu requests, 0 failed, 1 image mapped\n", reloads, good);
	ck_assert_int_eq(host_stop(), 0);
	closed = stage_closed();
	ck_assert_uint_eq(stage_opened(), closed);
	ck_assert_uint_eq(mapped("/stage/hello."), 0);
	remove(file);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("reload");
	TCase *t = tcase_create("storm");
	SRunner *r;
	int failed;

	tcase_set_timeout(t, 180);
	tcase_add_test(t, reloads_under_load_lose_no_request_and_leave_one_image);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed != 0;
}
