/* check_fetch.c: outbound requests against a small scripted server of our own, and the addresses
 * that they may not reach. */
#include "loop/loop.h"
#include "loop/task.h"
#include "net/fetch_int.h"

#include <arpa/inet.h>
#include <check.h>
#include <dirent.h>
#include <poll.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <unistd.h>

/* ---- the server: one thread per connection, one path per behaviour ---- */

static int server_fd;
static unsigned server_port;
static pthread_t server;
static atomic_int served, closed_early, connections;

static void
say(int fd, const char *z)
{
	(void)!send(fd, z, strlen(z), MSG_NOSIGNAL);
}

static void
serve_one(int fd, const char *request)
{
	char piece[8192];
	long i;

	atomic_fetch_add(&served, 1); /* before the answer: who reads it may look at once */
	if (strstr(request, " /hello ") != NULL) {
		say(fd, "HTTP/1.1 200 OK\r\nX-Test:  a b \r\nContent-Length: 5\r\n\r\nhello");
	} else if (strstr(request, " /echo ") != NULL) {
		const char *body = strstr(request, "\r\n\r\n") + 4;

		snprintf(piece, sizeof(piece),
		    "HTTP/1.1 201 Created\r\nContent-Length: %zu\r\n\r\n%.4000s", strlen(body),
		    body);
		say(fd, piece);
	} else if (strstr(request, " /continue ") != NULL) {
		say(fd,
		    "HTTP/1.1 103 Early Hints\r\nX-Test: no\r\n\r\n"
		    "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
	} else if (strstr(request, " /short ") != NULL) {
		say(fd, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly this");
		shutdown(fd, SHUT_RDWR);
	} else if (strstr(request, " /cutchunk ") != NULL) {
		say(fd, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n");
		shutdown(fd, SHUT_RDWR);
	} else if (strstr(request, " /garbage ") != NULL) {
		say(fd, "this is not HTTP at all\r\n\r\n");
		shutdown(fd, SHUT_RDWR);
	} else if (strstr(request, " /head ") != NULL) {
		say(fd, "HTTP/1.1 200 OK\r\n");
		memset(piece, 'h', sizeof(piece));
		memcpy(piece, "X-Big: ", 7);
		memcpy(piece + sizeof(piece) - 3, "\r\n", 3);
		for (i = 0; i < 12; i++)
			say(fd, piece);
		say(fd, "\r\n");
	} else if (strstr(request, " /redirect ") != NULL) {
		say(fd, "HTTP/1.1 302 Found\r\nLocation: /hello\r\nContent-Length: 0\r\n\r\n");
	} else if (strstr(request, " /flood ") != NULL) {
		say(fd, "HTTP/1.1 200 OK\r\nContent-Length: 33554432\r\n\r\n");
		memset(piece, 'f', sizeof(piece));
		for (i = 0; i < 33554432; i += (long)sizeof(piece)) {
			if (send(fd, piece, sizeof(piece), MSG_NOSIGNAL) < 0)
				break;
		}
	} else if (strstr(request, " /stall ") != NULL) {
		say(fd, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nsome");
		if (recv(fd, piece, 1, 0) <= 0)
			atomic_fetch_add(&closed_early, 1);
	} else if (recv(fd, piece, 1, 0) <= 0) { /* /silent */
		atomic_fetch_add(&closed_early, 1);
	}
}

static void *
serve(void *arg)
{
	int fd = (int)(intptr_t)arg;
	char buf[4096];
	size_t n = 0, want = 0;
	const char *end, *len;
	ssize_t k;

	for (;;) {
		k = recv(fd, buf + n, sizeof(buf) - 1 - n, 0);
		if (k <= 0)
			break;
		n += (size_t)k;
		buf[n] = '\0';
		end = strstr(buf, "\r\n\r\n");
		if (end == NULL)
			continue;
		len = strcasestr(buf, "\ncontent-length:");
		want = (size_t)(end + 4 - buf) + (len != NULL ? (size_t)atol(len + 16) : 0);
		if (n < want)
			continue;
		serve_one(fd, buf);
		n = 0;
	}
	close(fd);
	atomic_fetch_sub(&connections, 1);
	return NULL;
}

static void *
accept_all(void *arg)
{
	pthread_t t;
	int fd;

	while ((fd = accept4(server_fd, NULL, NULL, SOCK_CLOEXEC)) >= 0) {
		atomic_fetch_add(&connections, 1);
		pthread_create(&t, NULL, serve, (void *)(intptr_t)fd);
		pthread_detach(t);
	}
	return NULL;
}

/* ---- one exchange in a task ---- */

struct job {
	const char *path, *url;
	ins_fetch_request req;
	int rc, status, until_paused;
	atomic_int reads;
	char body[4096], header[64], error[256];
	size_t n;
	atomic_int done;
	struct ins_ctx *ctx;
};

static int n_fds;

static int
count_fds(void)
{
	DIR *d = opendir("/proc/self/fd");
	int n = 0;

	while (readdir(d) != NULL)
		n++;
	closedir(d);
	return n;
}

static int
job_run(struct ins_ctx *ctx, void *arg)
{
	struct job *j = arg;
	struct ins_fetch *f;
	ins_str piece, h;
	char url[256];
	int rc;

	j->ctx = ctx;
	j->req.size = sizeof(j->req);
	if (j->url == NULL) {
		snprintf(url, sizeof(url), "http://127.0.0.1:%u%s", server_port, j->path);
		j->req.flags |= INS_FETCH_PRIVATE;
		j->req.url = url;
	} else {
		j->req.url = j->url;
	}
	rc = fetch_open(ctx, &j->req, &f);
	if (rc == 0) {
		j->status = fetch_status(f);
		h = fetch_header(f, "x-test");
		snprintf(j->header, sizeof(j->header), "%.*s", (int)h.n, h.n > 0 ? h.p : "");
		while (rc == 0 && j->until_paused && !f->paused && !f->done)
			rc = task_sleep(ctx, 1);
		if (j->until_paused) {
			ck_assert_int_eq(f->paused, 1);
			ck_assert_uint_le(f->unread.n, FETCH_UNREAD_MAX);
		}
		while (rc == 0 && (rc = fetch_read(ctx, f, &piece)) == 1) {
			atomic_fetch_add(&j->reads, 1);
			if (j->n + piece.n < sizeof(j->body))
				memcpy(j->body + j->n, piece.p, piece.n);
			j->n += piece.n;
			rc = 0;
		}
	}
	j->rc = rc;
	if (ctx->err_text != NULL)
		snprintf(j->error, sizeof(j->error), "%s", ctx->err_text);
	return rc;
}

static void
job_end(struct ins_ctx *ctx, int result)
{
	struct job *j = ctx->arg;

	atomic_store(&j->done, 1);
}

static void
job_start(struct ins_loop *loop, void *arg)
{
	struct job *j = arg;

	ck_assert_ptr_nonnull(task_new("fetch", job_run, j, NULL, job_end));
}

static void
job_cancel(struct ins_loop *loop, void *arg)
{
	struct job *j = arg;

	task_cancel(j->ctx, INS_ECANCELED);
}

static void
await(atomic_int *v, int value)
{
	int i;

	for (i = 0; i < 20000 && atomic_load(v) != value; i++)
		poll(NULL, 0, 1);
	ck_assert_int_eq(atomic_load(v), value);
}

static void
run(struct job *j)
{
	loop_post(loop_get(0), job_start, j);
	await(&j->done, 1);
}

static void
start_loop(struct ins_loop *loop, void *arg)
{
	fetch_loop_start(loop);
}

static void
stop_loop(struct ins_loop *loop, void *arg)
{
	fetch_loop_stop(loop);
}

static void
start(void)
{
	struct sockaddr_in sin = { .sin_family = AF_INET };
	socklen_t len = sizeof(sin);

	fetch_init();
	loop_init(1);
	loop_start();
	sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	server_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	ck_assert_int_eq(bind(server_fd, (struct sockaddr *)&sin, sizeof(sin)), 0);
	ck_assert_int_eq(listen(server_fd, 64), 0);
	getsockname(server_fd, (struct sockaddr *)&sin, &len);
	server_port = ntohs(sin.sin_port);
	pthread_create(&server, NULL, accept_all, NULL);
	n_fds = count_fds();
	loop_call_all(start_loop, NULL);
}

static void
stop(void)
{
	loop_call_all(stop_loop, NULL);
	await(&connections, 0);
	ck_assert_int_eq(count_fds(), n_fds);
	shutdown(server_fd, SHUT_RDWR);
	pthread_join(server, NULL);
	close(server_fd);
	loop_stop_all();
}

START_TEST(an_answer_is_read_to_its_end)
{
	struct job j = { .path = "/hello" };

	run(&j);
	ck_assert_int_eq(j.rc, 0);
	ck_assert_int_eq(j.status, 200);
	ck_assert_str_eq(j.header, "a b");
	ck_assert_uint_eq(j.n, 5);
	ck_assert_mem_eq(j.body, "hello", 5);
}
END_TEST

START_TEST(a_body_is_sent_and_the_connection_is_used_again)
{
	struct job a = { .path = "/echo", .req = { .method = "POST", .body = { "in", 2 } } };
	struct job b = { .path = "/hello" };

	run(&a);
	ck_assert_int_eq(a.status, 201);
	ck_assert_mem_eq(a.body, "in", 3);
	run(&b);
	ck_assert_int_eq(b.status, 200);
	ck_assert_int_eq(connections, 1);
}
END_TEST

START_TEST(interim_answers_are_not_the_answer)
{
	struct job j = { .path = "/continue" };

	run(&j);
	ck_assert_int_eq(j.status, 200);
	ck_assert_str_eq(j.header, "");
	ck_assert_mem_eq(j.body, "ok", 3);
}
END_TEST

START_TEST(redirects_are_not_followed)
{
	struct job j = { .path = "/redirect" };

	run(&j);
	ck_assert_int_eq(j.status, 302);
	ck_assert_int_eq(served, 1);
}
END_TEST

static const struct {
	const char *path;
	int rc;
	size_t n; /* bytes that still arrive */
} broken[] = {
	{ "/short", -INS_EUPSTREAM, 9 },
	{ "/cutchunk", -INS_EUPSTREAM, 5 },
	{ "/garbage", -INS_EUPSTREAM, 0 },
	{ "/head", -INS_EUPSTREAM, 0 },
};

START_TEST(a_broken_answer_is_an_error_and_never_an_end)
{
	struct job j = { .path = broken[_i].path };

	run(&j);
	ck_assert_int_eq(j.rc, broken[_i].rc);
	ck_assert_uint_eq(j.n, broken[_i].n);
	ck_assert_str_ne(j.error, "");
}
END_TEST

START_TEST(nobody_there_is_an_upstream_error)
{
	struct job j = { .url = "http://127.0.0.1:1/", .req = { .flags = INS_FETCH_PRIVATE } };

	run(&j);
	ck_assert_int_eq(j.rc, -INS_EUPSTREAM);
}
END_TEST

START_TEST(too_large_an_answer_is_refused)
{
	struct job j = { .path = "/flood", .req = { .max_bytes = 100000 } };

	run(&j);
	ck_assert_int_eq(j.rc, -INS_ETOOBIG);
	ck_assert_uint_le(j.n, 100000);
}
END_TEST

START_TEST(a_peer_is_slowed_down_while_nobody_reads)
{
	struct job j = { .path = "/flood", .until_paused = 1, .req = { .max_bytes = 64 << 20 } };

	run(&j);
	ck_assert_int_eq(j.rc, 0);
	ck_assert_uint_eq(j.n, 33554432);
}
END_TEST

START_TEST(silence_ends_in_time)
{
	struct job a = { .path = "/silent", .req = { .first_byte_ms = 50 } };
	struct job b = { .path = "/stall", .req = { .idle_ms = 50 } };
	struct job c = { .path = "/silent", .req = { .total_ms = 50 } };

	run(&a);
	ck_assert_int_eq(a.rc, -INS_ETIMEOUT);
	run(&b);
	ck_assert_int_eq(b.rc, -INS_ETIMEOUT);
	ck_assert_uint_eq(b.n, 4);
	run(&c);
	ck_assert_int_eq(c.rc, -INS_ETIMEOUT);
	/* Closed, all of them; on a slow machine maybe before the request was sent. */
	await(&connections, 0);
}
END_TEST

START_TEST(a_cancelled_task_closes_its_connection_at_once)
{
	struct job a = { .path = "/silent" }, b = { .path = "/stall" };

	loop_post(loop_get(0), job_start, &a);
	loop_post(loop_get(0), job_start, &b);
	await(&connections, 2);
	while (b.reads == 0)
		poll(NULL, 0, 1);
	loop_call(loop_get(0), job_cancel, &a);
	loop_call(loop_get(0), job_cancel, &b);
	await(&a.done, 1);
	await(&b.done, 1);
	ck_assert_int_eq(a.rc, -INS_ECANCELED);
	ck_assert_int_eq(b.rc, -INS_ECANCELED);
	await(&closed_early, 2);
}
END_TEST

static const char *const closed_urls[] = { "http://127.0.0.1:%u/hello", "http://localhost:%u/hello",
	"http://[::1]:%u/hello", "http://[::ffff:127.0.0.1]:%u/hello", "http://0.0.0.0:%u/hello",
	"http://2130706433:%u/hello", "http://10.0.0.1:%u/", "http://169.254.169.254:%u/" };

START_TEST(closed_addresses_are_not_reached)
{
	char url[128];
	struct job j = { .url = url };

	snprintf(url, sizeof(url), closed_urls[_i], server_port);
	run(&j);
	ck_assert_int_eq(j.rc, -INS_EDENIED);
	ck_assert_int_eq(served, 0);
}
END_TEST

/* The connection that a permitted exchange left open leads to a closed address. */
START_TEST(a_kept_connection_does_not_open_the_door)
{
	char url[64];
	struct job a = { .path = "/hello" }, b = { .url = url };

	run(&a);
	ck_assert_int_eq(a.rc, 0);
	snprintf(url, sizeof(url), "http://127.0.0.1:%u/hello", server_port);
	run(&b);
	ck_assert_int_eq(b.rc, -INS_EDENIED);
	ck_assert_int_eq(served, 1);
}
END_TEST

static const char *const bad_urls[] = { "file:///etc/passwd", "gopher://127.0.0.1/", "", "http://",
	"scp://127.0.0.1/x" };

START_TEST(only_http_is_spoken)
{
	struct job j = { .url = bad_urls[_i], .req = { .flags = INS_FETCH_PRIVATE } };

	run(&j);
	ck_assert_int_eq(j.rc, -INS_EINVAL);
}
END_TEST

START_TEST(a_header_cannot_smuggle_another)
{
	const char *const headers[] = { "X-A: b\r\nX-C: d", NULL };
	struct job j = { .path = "/hello", .req = { .headers = headers } };

	run(&j);
	ck_assert_int_eq(j.rc, -INS_EINVAL);
	ck_assert_int_eq(connections, 0);
}
END_TEST

static const struct {
	const char *address;
	int closed;
} addresses[] = {
	{ "1.1.1.1", 0 },
	{ "8.8.8.8", 0 },
	{ "100.63.255.255", 0 },
	{ "100.64.0.0", 1 },
	{ "100.127.255.255", 1 },
	{ "100.128.0.0", 0 },
	{ "172.15.255.255", 0 },
	{ "172.16.0.0", 1 },
	{ "172.31.255.255", 1 },
	{ "172.32.0.0", 0 },
	{ "192.168.1.1", 1 },
	{ "192.169.0.0", 0 },
	{ "224.0.0.1", 1 },
	{ "255.255.255.255", 1 },
	{ "0.0.0.0", 1 },
	{ "::", 1 },
	{ "::1", 1 },
	{ "2606:4700::1111", 0 },
	{ "2001:4860:4860::8888", 0 },
	{ "fe80::1", 1 },
	{ "febf::1", 1 },
	{ "fec0::1", 1 },
	{ "fc00::1", 1 },
	{ "fdff::1", 1 },
	{ "ff02::1", 1 },
	{ "::ffff:10.0.0.1", 1 },
	{ "::ffff:8.8.8.8", 0 },
	{ "::10.0.0.1", 1 },
	{ "64:ff9b::7f00:1", 1 },
	{ "64:ff9b::808:808", 0 },
	{ "2002:7f00:1::", 1 },
	{ "2002:808:808::", 0 },
	{ "2001:db8::1", 1 },
	{ "2001:0:1::", 1 },
};

START_TEST(addresses_are_judged_by_the_registry)
{
	struct sockaddr_in in = { .sin_family = AF_INET };
	struct sockaddr_in6 in6 = { .sin6_family = AF_INET6 };
	const char *a = addresses[_i].address;
	struct sockaddr *sa = (struct sockaddr *)&in6;

	if (strchr(a, ':') == NULL) {
		sa = (struct sockaddr *)&in;
		ck_assert_int_eq(inet_pton(AF_INET, a, &in.sin_addr), 1);
	} else {
		ck_assert_int_eq(inet_pton(AF_INET6, a, &in6.sin6_addr), 1);
	}
	ck_assert_msg(fetch_addr_closed(sa) == addresses[_i].closed, "%s", a);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("fetch");
	TCase *t = tcase_create("exchange"), *pure = tcase_create("addresses");
	SRunner *r = srunner_create(s);
	int failed;

	tcase_set_timeout(t, 60);
	tcase_add_checked_fixture(t, start, stop);
	tcase_add_test(t, an_answer_is_read_to_its_end);
	tcase_add_test(t, a_body_is_sent_and_the_connection_is_used_again);
	tcase_add_test(t, interim_answers_are_not_the_answer);
	tcase_add_test(t, redirects_are_not_followed);
	tcase_add_loop_test(t, a_broken_answer_is_an_error_and_never_an_end, 0, NELEM(broken));
	tcase_add_test(t, nobody_there_is_an_upstream_error);
	tcase_add_test(t, too_large_an_answer_is_refused);
	tcase_add_test(t, a_peer_is_slowed_down_while_nobody_reads);
	tcase_add_test(t, silence_ends_in_time);
	tcase_add_test(t, a_cancelled_task_closes_its_connection_at_once);
	tcase_add_loop_test(t, closed_addresses_are_not_reached, 0, NELEM(closed_urls));
	tcase_add_test(t, a_kept_connection_does_not_open_the_door);
	tcase_add_loop_test(t, only_http_is_spoken, 0, NELEM(bad_urls));
	tcase_add_test(t, a_header_cannot_smuggle_another);
	tcase_add_loop_test(pure, addresses_are_judged_by_the_registry, 0, NELEM(addresses));
	suite_add_tcase(s, t);
	suite_add_tcase(s, pure);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed == 0 ? 0 : 1;
}
