/* check_relay.c: claims about the lossy relay: between loops without NATS, between hosts with it.
 * The other host is a connection of its own. */
#include "data/relay.h"

#include <nats/nats.h>
#include <semaphore.h>
#include <signal.h>
#include <unistd.h>

#include "base/metric.h"
#include "base/str.h"
#include "data/bus.h"
#include "tests/lib/inloop.h"
#include "tests/lib/servers.h"

#include <check.h> /* last: it defines fail() */

#define WAKE "ins.test.wake.7"
#define OTHER "ins.test.other"

/* What a relay got. Its loop writes; the test reads after the semaphore. */
struct ear {
	struct ins_relay *relay;
	sem_t sem;
	int close_after;
	_Atomic int n, last;
	char subject[64], data[64];
};

static struct ear ears[4];

static void
hear(void *arg, const char *subject, ins_str data)
{
	struct ear *e = arg;

	snprintf(e->subject, sizeof e->subject, "%s", subject);
	snprintf(e->data, sizeof e->data, "%.*s", INS_FMT(data));
	e->n++;
	e->last = atoi(e->data);
	if (e->n == e->close_after) {
		relay_close(e->relay);
		e->relay = NULL;
	}
	sem_post(&e->sem);
}

struct open_arg {
	struct ear *ear;
	const char *subject;
};

static void
do_open(struct ins_loop *loop, void *arg)
{
	struct open_arg *o = arg;

	o->ear->relay = relay_open(loop, o->subject, hear, o->ear, NULL);
}

static void
listen_on(unsigned loop, struct ear *e, const char *subject)
{
	struct open_arg o = { e, subject };

	memset(e, 0, sizeof *e);
	sem_init(&e->sem, 0, 0);
	loop_call(loop_get((int)loop), do_open, &o);
}

static void
do_close(struct ins_loop *loop, void *arg)
{
	struct ear *e = arg;

	relay_close(e->relay);
	e->relay = NULL;
}

static void
stop_listening(unsigned loop, struct ear *e)
{
	loop_call(loop_get((int)loop), do_close, e);
}

struct say_arg {
	const char *subject, *data;
	int result;
};

static void
do_say(struct ins_loop *loop, void *arg)
{
	struct say_arg *s = arg;

	s->result = relay_publish(s->subject, s->data, strlen(s->data));
}

static int
say(unsigned loop, const char *subject, const char *data)
{
	struct say_arg s = { subject, data, 0 };

	loop_call(loop_get((int)loop), do_say, &s);
	return s.result;
}

static void
wait_for(struct ear *e, int n)
{
	while (n-- > 0)
		while (sem_wait(&e->sem) != 0)
			;
}

static void
nothing(struct ins_loop *loop, void *arg)
{
}

static void
begin(const char *url)
{
	loop_init(2);
	inloop_start(2, NULL);
	relay_init(url);
	while (url != NULL && !relay_up())
		;
}

static void
end(void)
{
	relay_fini();
	nats_CloseAndWait(2000);
	inloop_stop(NULL);
}

static double
drops(const char *where)
{
	char want[80];
	struct str s;
	char *at;
	double n;

	str_init(&s, 1 << 20);
	metric_render(&s);
	snprintf(want, sizeof want, "relay_dropped_total{where=\"%s\"} ", where);
	at = strstr(s.p, want);
	n = at == NULL ? 0 : strtod(at + strlen(want), NULL);
	str_fini(&s);
	return n;
}

START_TEST(without_nats_every_loop_of_this_host_hears_and_only_of_its_subject)
{
	begin(NULL);
	listen_on(0, &ears[0], WAKE);
	listen_on(1, &ears[1], WAKE);
	listen_on(1, &ears[2], OTHER);
	ck_assert_int_eq(say(0, WAKE, "up"), 0);
	wait_for(&ears[0], 1);
	wait_for(&ears[1], 1);
	ck_assert_str_eq(ears[0].data, "up");
	ck_assert_str_eq(ears[1].subject, WAKE);
	ck_assert_int_eq(say(1, OTHER, "x"), 0);
	wait_for(&ears[2], 1);
	ck_assert_str_eq(ears[2].data, "x");
	ck_assert_int_eq(ears[1].n, 1);
	stop_listening(0, &ears[0]);
	stop_listening(1, &ears[1]);
	stop_listening(1, &ears[2]);
	end();
}
END_TEST

START_TEST(a_relay_may_close_itself_and_hears_no_more)
{
	begin(NULL);
	listen_on(0, &ears[0], WAKE);
	listen_on(0, &ears[1], WAKE);
	ears[0].close_after = 1;
	say(1, WAKE, "1");
	say(1, WAKE, "2");
	wait_for(&ears[1], 2);
	loop_call_all(nothing, NULL);
	ck_assert_int_eq(ears[0].n, 1);
	ck_assert_ptr_null(ears[0].relay);
	stop_listening(0, &ears[1]);
	end();
}
END_TEST

START_TEST(what_is_no_subject_or_too_large_is_refused)
{
	static const char *const bad[] = { "", "ins.", "t.a.b", "ins.*", "ins.a.>", "ins.a b",
		"ins.a.", "ins.a..b", "ins.a\r\nPUB x" };
	char *large = base_alloc(RELAY_DATA_MAX + 1);
	size_t i;

	begin(NULL);
	for (i = 0; i < NELEM(bad); i++) {
		ck_assert_int_eq(say(0, bad[i], "x"), -INS_EINVAL);
		listen_on(0, &ears[0], bad[i]);
		ck_assert_ptr_null(ears[0].relay);
	}
	ck_assert_int_eq(relay_publish(WAKE, large, RELAY_DATA_MAX + 1), -INS_ETOOBIG);
	ck_assert_int_eq(relay_publish(WAKE, large, RELAY_DATA_MAX), 0);
	free(large);
	end();
}
END_TEST

/* Holds a loop until it is told to go on. */
static sem_t held, go;

static void
hold(struct ins_loop *loop, void *arg)
{
	sem_post(&held);
	while (sem_wait(&go) != 0)
		;
}

START_TEST(a_loop_that_stands_still_gets_no_more_than_its_queue_holds)
{
	unsigned i;
	char z[16];

	begin(NULL);
	listen_on(0, &ears[0], WAKE);
	sem_init(&held, 0, 0);
	sem_init(&go, 0, 0);
	loop_post(loop_get(0), hold, NULL);
	while (sem_wait(&held) != 0)
		;
	for (i = 0; i < RELAY_LOOP_MAX + 100; i++) {
		snprintf(z, sizeof z, "%u", i);
		ck_assert_int_eq(say(1, WAKE, z), 0);
	}
	sem_post(&go);
	wait_for(&ears[0], RELAY_LOOP_MAX);
	loop_call_all(nothing, NULL);
	ck_assert_int_eq(ears[0].n, (int)RELAY_LOOP_MAX);
	ck_assert_int_eq(ears[0].last, (int)RELAY_LOOP_MAX - 1); /* in order, the first ones */
	ck_assert(drops("loop") == 100);
	stop_listening(0, &ears[0]);
	end();
}
END_TEST

/* Until the subscription stands at the server nothing comes: the other host repeats itself. */
static void
other_says_until_heard(natsConnection *nc, const char *subject, struct ear *e)
{
	do {
		ck_assert_int_eq(natsConnection_PublishString(nc, subject, "0"), NATS_OK);
		ck_assert_int_eq(natsConnection_Flush(nc), NATS_OK);
		loop_call_all(nothing, NULL);
	} while (sem_trywait(&e->sem) != 0);
}

START_TEST(other_hosts_hear_and_are_heard_and_nobody_hears_twice)
{
	natsConnection *nc = NULL;
	natsSubscription *sub = NULL;
	natsMsg *msg = NULL;
	int i, k;

	begin(servers_nats_url());
	listen_on(0, &ears[0], WAKE);
	listen_on(1, &ears[1], OTHER);
	ck_assert_int_eq(natsConnection_ConnectTo(&nc, servers_nats_url()), NATS_OK);
	ck_assert_int_eq(natsConnection_SubscribeSync(&sub, nc, "ins.>"), NATS_OK);
	ck_assert_int_eq(natsConnection_Flush(nc), NATS_OK);
	other_says_until_heard(nc, WAKE, &ears[0]);
	other_says_until_heard(nc, OTHER, &ears[1]);
	/* The last of the other connection marks that all before it have been heard. */
	natsConnection_PublishString(nc, WAKE, "1000");
	do
		wait_for(&ears[0], 1);
	while (ears[0].last != 1000);

	k = ears[0].n;
	for (i = 1; i <= 10; i++)
		ck_assert_int_eq(say(1, WAKE, "5"), 0);
	ck_assert_int_eq(say(1, OTHER, "6"), 0);
	do {
		natsMsg_Destroy(msg);
		ck_assert_int_eq(natsSubscription_NextMsg(&msg, sub, 10000), NATS_OK);
	} while (natsMsg_GetDataLength(msg) != 1 || natsMsg_GetData(msg)[0] != '5');
	for (i = 1; i <= 10; i++) {
		ck_assert_str_eq(natsMsg_GetSubject(msg), WAKE);
		natsMsg_Destroy(msg);
		ck_assert_int_eq(natsSubscription_NextMsg(&msg, sub, 10000), NATS_OK);
	}
	ck_assert_str_eq(natsMsg_GetSubject(msg), OTHER);
	natsMsg_Destroy(msg);
	/* Had the server sent ours back, they would have come before this. */
	natsConnection_PublishString(nc, WAKE, "1001");
	do
		wait_for(&ears[0], 1);
	while (ears[0].last != 1001);
	ck_assert_int_eq(ears[0].n - k, 11);

	natsConnection_Close(nc); /* before its subscription: see bus.c */
	natsSubscription_Destroy(sub);
	natsConnection_Destroy(nc);
	stop_listening(0, &ears[0]);
	stop_listening(1, &ears[1]);
	end();
}
END_TEST

START_TEST(with_nats_away_this_host_hears_itself_and_later_the_others_again)
{
	natsConnection *nc = NULL;
	pid_t pid;

	begin(servers_nats_url());
	listen_on(0, &ears[0], WAKE);
	pid = servers_pid(servers_dir(), "nats-server");
	ck_assert_int_gt(pid, 0);
	ck_assert_int_eq(kill(pid, SIGKILL), 0); /* its supervisor starts it again */
	while (relay_up())
		;
	ck_assert_int_eq(say(1, WAKE, "7"), 0);
	wait_for(&ears[0], 1);
	ck_assert_int_eq(ears[0].last, 7);
	/* Opened while away. */
	listen_on(1, &ears[1], OTHER);
	while (!relay_up())
		;
	while (natsConnection_ConnectTo(&nc, servers_nats_url()) != NATS_OK)
		;
	other_says_until_heard(nc, WAKE, &ears[0]);
	other_says_until_heard(nc, OTHER, &ears[1]);
	natsConnection_Destroy(nc);
	stop_listening(0, &ears[0]);
	stop_listening(1, &ears[1]);
	end();
}
END_TEST

START_TEST(many_subjects_come_and_go)
{
	natsConnection *nc = NULL;
	char subject[64];
	int i;

	begin(servers_nats_url());
	ck_assert_int_eq(natsConnection_ConnectTo(&nc, servers_nats_url()), NATS_OK);
	for (i = 0; i < 2000; i++) {
		snprintf(subject, sizeof subject, "ins.test.run.%d", i);
		listen_on((unsigned)i % 2, &ears[0], subject);
		if (i % 500 == 0)
			other_says_until_heard(nc, subject, &ears[0]);
		stop_listening((unsigned)i % 2, &ears[0]);
	}
	natsConnection_Destroy(nc);
	end();
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("relay");
	TCase *t = tcase_create("relay"), *many = tcase_create("many");
	SRunner *r;
	int failed;

	servers_start(SERVERS_NATS);
	tcase_set_timeout(t, 60);
	tcase_add_test(t, without_nats_every_loop_of_this_host_hears_and_only_of_its_subject);
	tcase_add_test(t, a_relay_may_close_itself_and_hears_no_more);
	tcase_add_test(t, what_is_no_subject_or_too_large_is_refused);
	tcase_add_test(t, a_loop_that_stands_still_gets_no_more_than_its_queue_holds);
	tcase_add_test(t, other_hosts_hear_and_are_heard_and_nobody_hears_twice);
	tcase_add_test(t, with_nats_away_this_host_hears_itself_and_later_the_others_again);
	tcase_set_timeout(many, 60);
	tcase_add_test(many, many_subjects_come_and_go);
	suite_add_tcase(s, t);
	suite_add_tcase(s, many);
	r = srunner_create(s);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	servers_stop();
	return failed != 0;
}
