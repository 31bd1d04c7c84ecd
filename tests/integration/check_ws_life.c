/*
 * check_ws_life.c: WebSocket connections in a host: who may open one and how it is refused, what a
 * handler may do, slow and silent clients, reloads, limits, the end.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/base.h"
#include "tests/lib/client.h"
#include "tests/lib/host.h"
#include "tests/lib/wsraw.h"

#include <check.h> /* last: its macro `fail` is a name of ours */

static const char plain[] = "plugins: {anyone: {}, sockets: {}, hello: {}}";

static void
nap(void)
{
	struct timespec t = { 0, 5 * 1000 * 1000 };

	nanosleep(&t, NULL);
}

/* Of the admin socket's listing. */
static int
open_now(void)
{
	json_t *j = host_admin_call("GET", "/websockets");
	int n;

	ck_assert_ptr_nonnull(j);
	n = (int)json_integer_value(json_object_get(j, "open"));
	json_decref(j);
	return n;
}

static void
until_open(int n)
{
	int i;

	for (i = 0; open_now() != n; i++) {
		ck_assert_int_lt(i, 4000);
		nap();
	}
}

START_TEST(a_bad_handshake_is_told_why)
{
	static const struct {
		const char *method, *lines;
		int status;
		const char *says, *version;
	} bad[] = {
		{ "GET", "Connection: close\r\n", 426, "upgrade" },
		{ "GET", "Connection: close\r\nUpgrade: websocket\r\n", 426, "upgrade" },
		{ "GET", "Upgrade: h2c\r\nConnection: upgrade, close\r\n", 426, "upgrade" },
		{ "GET",
		    "Upgrade: websocket\r\nConnection: upgrade, close\r\n"
		    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n",
		    426, "version" },
		{ "GET",
		    "Upgrade: websocket\r\nConnection: upgrade, close\r\nSec-WebSocket-Version: "
		    "8\r\n"
		    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n",
		    426, "version" },
		{ "GET",
		    "Upgrade: websocket\r\nConnection: upgrade, close\r\n"
		    "Sec-WebSocket-Version: 13\r\n",
		    400, "key" },
		{ "GET",
		    "Upgrade: websocket\r\nConnection: upgrade, close\r\n"
		    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: c2hvcnQ=\r\n",
		    400, "key" },
		{ "GET",
		    "Upgrade: websocket\r\nConnection: upgrade, close\r\nSec-WebSocket-Version: "
		    "13\r\n"
		    "Origin: https://evil.example\r\n"
		    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n",
		    403, "origin" },
		{ "POST", "Connection: close\r\nContent-Length: 0\r\n", 405, "allowed" },
		{ "GET",
		    "Upgrade: websocket\r\nConnection: upgrade\r\nSec-WebSocket-Version: 13\r\n"
		    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n",
		    400, "HTTP/1.1", "1.0" },
	};
	char request[1024], want[32];
	struct wsraw *w;
	size_t i;
	ssize_t n;

	host_start(plain);
	for (i = 0; i < NELEM(bad); i++) {
		snprintf(request, sizeof request, "%s /sockets HTTP/%s\r\nHost: x\r\n%s\r\n",
		    bad[i].method, bad[i].version != NULL ? bad[i].version : "1.1", bad[i].lines);
		w = wsraw_connect(host_port(), request);
		for (w->n = 0; w->n < sizeof w->buf - 1; w->n += (size_t)n) {
			n = recv(w->fd, w->buf + w->n, sizeof w->buf - 1 - w->n, 0);
			if (n <= 0)
				break;
		}
		snprintf(want, sizeof want, "HTTP/1.1 %d ", bad[i].status);
		ck_assert_msg(strncmp(w->buf, want, strlen(want)) == 0 &&
			strcasestr(w->buf, bad[i].says) != NULL,
		    "case %zu: %s", i, w->buf);
		ck_assert_msg((strcasestr(w->buf, "sec-websocket-version: 13\r\n") != NULL &&
				  strcasestr(w->buf, "\nupgrade: websocket\r\n") != NULL) ==
			(bad[i].status == 426),
		    "case %zu: %s", i, w->buf);
		wsraw_free(w);
	}
	ck_assert_int_eq(open_now(), 0);
	ck_assert_int_eq(host_stop(), 0);
}
END_TEST

START_TEST(http2_is_refused_with_a_status)
{
	struct client *c;

	host_start(plain);
	c = client_new(host_url(), NULL);
	client_http2(c);
	ck_assert_int_eq(client_get(c, "/sockets")->status, 505);
	client_free(c);
	ck_assert_int_eq(host_stop(), 0);
}
END_TEST

START_TEST(the_handshake_is_authenticated_and_may_be_refused_by_the_plugin)
{
	char head[2048];

	host_start("plugins: {sockets: {}}");
	ck_assert_int_eq(wsraw_try(host_port(), "/sockets", "", head), 401);
	ck_assert_ptr_null(host_reload(
	    NULL, "plugins: {sockets: {}, anyone: {config: {permissions: 'other:use'}}}"));
	ck_assert_int_eq(wsraw_try(host_port(), "/sockets", "", head), 403);
	ck_assert_ptr_null(host_reload(NULL, plain));
	ck_assert_int_eq(wsraw_try(host_port(), "/sockets?refuse", "", head), 409);
	ck_assert_int_eq(wsraw_try(host_port(), "/sockets?answer", "", head), 200);
	ck_assert_int_eq(wsraw_try(host_port(), "/sockets", "", head), 101);
	until_open(0);
	ck_assert_int_eq(host_stop(), 0);
}
END_TEST

START_TEST(the_servers_first_protocol_that_is_offered_is_taken)
{
	struct wsraw *w;
	char head[2048];

	host_start(plain);
	ck_assert_int_eq(
	    wsraw_try(host_port(), "/sockets", "Sec-WebSocket-Protocol: zero, one,two\r\n", head),
	    101);
	ck_assert_ptr_nonnull(strcasestr(head, "sec-websocket-protocol: two\r\n"));
	ck_assert_int_eq(
	    wsraw_try(host_port(), "/sockets", "Sec-WebSocket-Protocol: zero\r\n", head), 101);
	ck_assert_ptr_null(strcasestr(head, "sec-websocket-protocol"));
	w = wsraw_open(host_port(), "/sockets?welcome",
	    "Sec-WebSocket-Protocol: one\r\nOrigin: https://console.example\r\n");
	wsraw_expect(w, "welcome");
	wsraw_text(w, "who");
	wsraw_expect(w, "one 00000000-0000-4000-8000-000000000001 one");
	wsraw_free(w);
	ck_assert_ptr_null(
	    host_reload(NULL, "plugins: {anyone: {}, sockets: {config: {need: true}}}"));
	ck_assert_int_eq(wsraw_try(host_port(), "/sockets", "", head), 400);
	ck_assert_int_eq(host_stop(), 0);
}
END_TEST

START_TEST(messages_are_handled_one_at_a_time_and_pings_meanwhile)
{
	struct wsraw *w;

	host_start(plain);
	w = wsraw_open(host_port(), "/sockets", "");
	wsraw_text(w, "sleep 1000");
	wsraw_text(w, "count");
	wsraw_text(w, "count");
	wsraw_frame(w, 0x89, "now", 3);
	ck_assert_str_eq(wsraw_next(w)->p, "now");
	wsraw_expect(w, "slept");
	wsraw_expect(w, "1");
	wsraw_expect(w, "2");
	wsraw_text(w, "state");
	wsraw_expect(w, "1 1");
	wsraw_text(w, "badsend");
	wsraw_expect(w, "-1");
	wsraw_free(w);
	ck_assert_int_eq(host_stop(), 0);
}
END_TEST

START_TEST(a_handler_that_fails_closes_with_the_code_of_its_error)
{
	static const struct {
		const char *command;
		unsigned code;
	} fails[] = {
		{ "fail 1 nonsense", 1008 },
		{ "fail 3 not yours", 1008 },
		{ "fail 7 too much", 1009 },
		{ "fail 9 slowly", 1013 },
		{ "fail 11 a bug", 1011 },
		{ "fail 14 away", 1013 },
		{ "close 4001 bye", 4001 },
		{ "close 1000 bye", 1000 },
	};
	const struct wsgot *g;
	struct wsraw *w;
	size_t i;

	host_start(plain);
	for (i = 0; i < NELEM(fails); i++) {
		w = wsraw_open(host_port(), "/sockets", "");
		wsraw_text(w, fails[i].command);
		g = wsraw_next(w);
		ck_assert_uint_eq(g->first, 0x88);
		ck_assert_uint_eq(
		    (unsigned)(unsigned char)g->p[0] << 8 | (unsigned char)g->p[1], fails[i].code);
		ck_assert_str_eq(g->p + 2, strchr(strchr(fails[i].command, ' ') + 1, ' ') + 1);
		wsraw_frame(w, 0x88, "\x03\xe8", 2);
		ck_assert_uint_eq(wsraw_next(w)->first, 0);
		wsraw_free(w);
	}
	until_open(0);
	ck_assert_int_eq(host_stop(), 0);
}
END_TEST

/* The plugin hears of every end: by the client, by itself, without a word. */
START_TEST(the_plugin_hears_how_it_ended)
{
	struct wsraw *ear, *w;

	host_start(plain);
	ear = wsraw_open(host_port(), "/sockets", "");
	wsraw_text(ear, "join ends");
	wsraw_expect(ear, "joined 0");
	w = wsraw_open(host_port(), "/sockets", "");
	wsraw_frame(w, 0x88, "\x0f\xa1", 2);
	ck_assert_uint_eq(wsraw_closed(w, 0), 4001);
	wsraw_free(w);
	wsraw_expect(ear, "ended 4001");
	w = wsraw_open(host_port(), "/sockets", "");
	wsraw_free(w);
	wsraw_expect(ear, "ended 1006");
	w = wsraw_open(host_port(), "/sockets", "");
	wsraw_text(w, "sleep 60000"); /* cancelled when its client vanishes */
	wsraw_free(w);
	wsraw_expect(ear, "ended 1006");
	w = wsraw_open(host_port(), "/sockets", "");
	wsraw_frame(w, 0x83, "", 0);
	ck_assert_uint_eq(wsraw_closed(w, 1), 1002);
	wsraw_free(w);
	wsraw_expect(ear, "ended 1002");
	wsraw_free(ear);
	ck_assert_int_eq(host_stop(), 0);
}
END_TEST

/* Clients that leave at any point leave nothing behind: host_stop() finds the instances gone. */
START_TEST(a_client_may_vanish_at_any_point)
{
	static const char *const bytes[] = { "", "\x81", "\x81\x85", "\x81\x85\x01\x02\x03\x04",
		"\x81\x85\x01\x02\x03\x04gh", "\x01\x81\x01\x02\x03\x04g", "\x88\x80" };
	struct wsraw *w;
	size_t i;

	host_start(plain);
	for (i = 0; i < 20 * NELEM(bytes); i++) {
		w = wsraw_open(host_port(), "/sockets", "");
		if (i % 3 == 0)
			wsraw_text(w, "flood 1000 1000");
		if (i % 5 == 0)
			wsraw_text(w, "join ends");
		wsraw_bytes(w, bytes[i % NELEM(bytes)], strlen(bytes[i % NELEM(bytes)]));
		wsraw_free(w);
		/* and while the handshake is under way */
		w = wsraw_connect(host_port(),
		    "GET /sockets?slow=20 HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n"
		    "Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
		    "Sec-WebSocket-Version: 13\r\n\r\n");
		wsraw_free(w);
	}
	until_open(0);
	ck_assert_int_eq(host_stop(), 0);
}
END_TEST

/* Its route goes, which closes it, and so does the client: what was set up for it goes too. */
START_TEST(a_handshake_is_given_up_while_its_route_goes)
{
	struct wsraw *w;

	host_start(plain);
	w = wsraw_connect(host_port(),
	    "GET /sockets?slow=300 HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n"
	    "Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
	    "Sec-WebSocket-Version: 13\r\n\r\n");
	until_open(1);
	ck_assert_ptr_null(host_reload(NULL, "plugins: {anyone: {}}"));
	wsraw_free(w);
	until_open(0);
	ck_assert_int_eq(host_stop(), 0);
}
END_TEST

START_TEST(a_sender_waits_for_a_slow_client_and_goes_on)
{
	const struct wsgot *g;
	struct wsraw *w;
	int i;

	host_start("plugins: {anyone: {}, sockets: {config: {send: 64k}}}");
	w = wsraw_open(host_port(), "/sockets", "");
	wsraw_text(w, "flood 300 100000"); /* 30 MB: past what kernels buffer */
	wsraw_text(w, "count");
	for (i = 0; i < 20; i++) {
		json_t *j = host_admin_call("GET", "/websockets"), *one;

		one = json_array_get(json_object_get(j, "connections"), 0);
		/* one frame may be larger than the queue, but then it is alone */
		ck_assert_int_le(
		    json_integer_value(json_object_get(one, "queued_bytes")), 100000 + 200);
		json_decref(j);
		nap();
	}
	for (i = 0; i < 300; i++) {
		g = wsraw_next(w);
		ck_assert_uint_eq(g->first, 0x82);
		ck_assert_uint_eq(g->n, 100000);
	}
	wsraw_expect(w, "1");
	wsraw_free(w);
	ck_assert_int_eq(host_stop(), 0);
}
END_TEST

START_TEST(who_is_too_slow_for_a_topic_is_dropped_and_the_others_are_not)
{
	struct wsraw *slow, *fast, *speaker;
	int i, got = 0;

	host_start("plugins: {anyone: {}, sockets: {config: {send: 64k}}}");
	slow = wsraw_open(host_port(), "/sockets", "");
	fast = wsraw_open(host_port(), "/sockets", "");
	speaker = wsraw_open(host_port(), "/sockets", "");
	wsraw_text(slow, "join flood");
	wsraw_expect(slow, "joined 0");
	wsraw_text(fast, "join flood");
	wsraw_expect(fast, "joined 0");
	for (i = 0; i < 1000; i++) {
		wsraw_text(speaker, "floodtopic 1 50000");
		wsraw_expect(speaker, "published");
		got += wsraw_next(fast)->n == 50000;
	}
	ck_assert_int_eq(got, 1000);
	ck_assert_uint_eq(wsraw_closed(slow, 1), 1013);
	wsraw_free(slow);
	wsraw_free(fast);
	wsraw_free(speaker);
	ck_assert_int_eq(host_stop(), 0);
}
END_TEST

START_TEST(a_topic_reaches_every_loop_and_no_other_plugin)
{
	struct wsraw *w[12], *other;
	int i;

	host_start(plain); /* two loops; the kernel spreads the connections */
	for (i = 0; i < 12; i++) {
		w[i] = wsraw_open(host_port(), "/sockets", "");
		wsraw_text(w[i], "join news");
		wsraw_expect(w[i], "joined 0");
		wsraw_text(w[i], "join news");
		wsraw_expect(w[i], "joined 0");
	}
	other = wsraw_open(host_port(), "/v1/hello/rooms/news", "");
	wsraw_text(w[0], "publish news all");
	for (i = 0; i < 12; i++)
		wsraw_expect(w[i], "all");
	wsraw_text(w[1], "leave news");
	wsraw_expect(w[1], "left 0");
	wsraw_text(w[0], "publish news rest");
	for (i = 0; i < 12; i++)
		if (i != 1)
			wsraw_expect(w[i], "rest");
	wsraw_text(w[1], "count");
	wsraw_expect(w[1], "1");
	wsraw_text(other, "only here");
	wsraw_expect(other, "only here");
	wsraw_text(w[2], "count");
	wsraw_expect(w[2], "1");
	for (i = 0; i < 12; i++)
		wsraw_free(w[i]);
	wsraw_free(other);
	ck_assert_int_eq(host_stop(), 0);
}
END_TEST

START_TEST(a_silent_client_is_pinged_and_then_cut)
{
	struct wsraw *w;
	int i;

	host_start("plugins: {anyone: {}, sockets: {config: {ping: 30ms, pong: 2s}}}");
	w = wsraw_open(host_port(), "/sockets", "");
	for (i = 0; i < 4; i++) { /* who answers stays */
		ck_assert_uint_eq(wsraw_next(w)->first, 0x89);
		wsraw_frame(w, 0x8a, "", 0);
	}
	ck_assert_uint_eq(wsraw_next(w)->first, 0x89);
	while (wsraw_next(w)->first == 0x89)
		;
	wsraw_free(w);
	until_open(0);
	ck_assert_int_eq(host_stop(), 0);
}
END_TEST

START_TEST(a_connection_outlives_a_reload_with_its_state)
{
	struct wsraw *w, *busy;

	host_start(plain);
	w = wsraw_open(host_port(), "/sockets", "");
	busy = wsraw_open(host_port(), "/sockets", "");
	wsraw_text(w, "count");
	wsraw_expect(w, "1");
	wsraw_text(busy, "sleep 3000"); /* longer than a reload takes */
	wsraw_text(busy, "who");
	ck_assert_ptr_null(
	    host_reload(NULL, "plugins: {anyone: {}, sockets: {config: {word: second}}}"));
	wsraw_text(w, "count");
	wsraw_expect(w, "2");
	wsraw_text(w, "who");
	wsraw_expect(w, "second 00000000-0000-4000-8000-000000000001 ");
	/* what was under way ends on the old one, what waited begins on the new */
	wsraw_expect(busy, "slept");
	wsraw_expect(busy, "second 00000000-0000-4000-8000-000000000001 ");
	wsraw_free(w);
	wsraw_free(busy);
	ck_assert_int_eq(host_stop(), 0);
}
END_TEST

START_TEST(a_connection_that_a_reload_leaves_behind_is_closed)
{
	static const struct {
		const char *before, *after;
		unsigned code;
	} t[] = {
		{ "plugins: {anyone: {}, sockets: {}}", "plugins: {anyone: {}}", 1012 },
		{ "plugins: {anyone: {}, sockets: {config: {pinned: true}}}",
		    "plugins: {anyone: {}, sockets: {config: {pinned: true, word: b}}}", 1012 },
		{ "plugins: {anyone: {config: {permissions: 'sockets:use'}}, sockets: {}}",
		    "plugins: {anyone: {config: {permissions: 'sockets:use'}}, "
		    "sockets: {config: {permission: 'sockets:more'}}}",
		    1008 },
	};
	struct wsraw *w;
	size_t i;

	for (i = 0; i < NELEM(t); i++) {
		host_start(t[i].before);
		w = wsraw_open(host_port(), "/sockets", "");
		wsraw_text(w, "count");
		wsraw_expect(w, "1");
		ck_assert_ptr_null(host_reload(NULL, t[i].after));
		ck_assert_uint_eq(wsraw_closed(w, 1), t[i].code);
		wsraw_free(w);
		until_open(0);
		ck_assert_int_eq(host_stop(), 0);
	}
}
END_TEST

START_TEST(the_limits_of_host_and_tenant_hold)
{
	char head[2048];
	struct wsraw *w[2];

	host_start("{plugins: {anyone: {}, sockets: {}}, "
		   "limits: {websockets: 3, websockets_per_tenant: 2}}");
	w[0] = wsraw_open(host_port(), "/sockets", "");
	w[1] = wsraw_open(host_port(), "/sockets", "");
	ck_assert_int_eq(wsraw_try(host_port(), "/sockets", "", head), 429);
	wsraw_free(w[0]);
	until_open(1);
	w[0] = wsraw_open(host_port(), "/sockets", "");
	wsraw_free(w[0]);
	wsraw_free(w[1]);
	ck_assert_int_eq(host_stop(), 0);
	host_start("{plugins: {anyone: {}, sockets: {}}, limits: {websockets: 1}}");
	w[0] = wsraw_open(host_port(), "/sockets", "");
	ck_assert_int_eq(wsraw_try(host_port(), "/sockets", "", head), 503);
	wsraw_free(w[0]);
	ck_assert_int_eq(host_stop(), 0);
}
END_TEST

static unsigned last_code;

static void *
answer_the_end(void *arg)
{
	last_code = wsraw_closed(arg, 1);
	return NULL;
}

START_TEST(the_hosts_stop_closes_with_1001)
{
	struct wsraw *w, *deaf;
	pthread_t thread;

	host_start("{plugins: {anyone: {}, sockets: {}}, limits: {drain: 20s}}");
	w = wsraw_open(host_port(), "/sockets", "");
	deaf = wsraw_open(host_port(), "/sockets", ""); /* it will not answer the close */
	ck_assert_int_eq(pthread_create(&thread, NULL, answer_the_end, w), 0);
	ck_assert_int_eq(host_stop(), 0);
	pthread_join(thread, NULL);
	ck_assert_uint_eq(last_code, 1001);
	ck_assert_uint_eq(wsraw_closed(deaf, 0), 1001);
	wsraw_free(w);
	wsraw_free(deaf);
}
END_TEST

START_TEST(an_operator_sees_connections_and_counts)
{
	const struct reply *r;
	struct client *c;
	struct wsraw *w;
	json_t *j, *one;

	host_start(plain);
	w = wsraw_open(host_port(), "/sockets", "");
	wsraw_text(w, "count");
	wsraw_expect(w, "1");
	j = host_admin_call("GET", "/websockets");
	one = json_array_get(json_object_get(j, "connections"), 0);
	ck_assert_str_eq(json_string_value(json_object_get(one, "route")), "/sockets");
	ck_assert_str_eq(json_string_value(json_object_get(one, "plugin")), "sockets");
	ck_assert_str_eq(json_string_value(json_object_get(one, "user")), "anyone");
	ck_assert_int_eq(json_integer_value(json_object_get(one, "messages_in")), 1);
	ck_assert_int_eq(json_integer_value(json_object_get(one, "messages_out")), 1);
	json_decref(j);
	c = client_new(host_url(), NULL);
	r = client_get(c, "/metrics");
	ck_assert_ptr_nonnull(strstr(r->body, "\nwebsocket_active_connections 1\n"));
	ck_assert_ptr_nonnull(strstr(r->body, "http_requests_total{status=\"101\"} "));
	client_free(c);
	wsraw_free(w);
	ck_assert_int_eq(host_stop(), 0);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("ws life");
	TCase *t = tcase_create("ws life");
	SRunner *r;
	int failed;

	tcase_set_timeout(t, 60);
	tcase_add_test(t, a_bad_handshake_is_told_why);
	tcase_add_test(t, http2_is_refused_with_a_status);
	tcase_add_test(t, the_handshake_is_authenticated_and_may_be_refused_by_the_plugin);
	tcase_add_test(t, the_servers_first_protocol_that_is_offered_is_taken);
	tcase_add_test(t, messages_are_handled_one_at_a_time_and_pings_meanwhile);
	tcase_add_test(t, a_handler_that_fails_closes_with_the_code_of_its_error);
	tcase_add_test(t, the_plugin_hears_how_it_ended);
	tcase_add_test(t, a_client_may_vanish_at_any_point);
	tcase_add_test(t, a_handshake_is_given_up_while_its_route_goes);
	tcase_add_test(t, a_sender_waits_for_a_slow_client_and_goes_on);
	tcase_add_test(t, who_is_too_slow_for_a_topic_is_dropped_and_the_others_are_not);
	tcase_add_test(t, a_topic_reaches_every_loop_and_no_other_plugin);
	tcase_add_test(t, a_silent_client_is_pinged_and_then_cut);
	tcase_add_test(t, a_connection_outlives_a_reload_with_its_state);
	tcase_add_test(t, a_connection_that_a_reload_leaves_behind_is_closed);
	tcase_add_test(t, the_limits_of_host_and_tenant_hold);
	tcase_add_test(t, the_hosts_stop_closes_with_1001);
	tcase_add_test(t, an_operator_sees_connections_and_counts);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed != 0;
}
