/* check_bus.c: claims about events on real servers: from the transaction that causes one to the
 * handler, the dead letters and back; and what happens while NATS is away. */
#include "data/bus.h"

#include <libpq-fe.h>
#include <nats/nats.h>
#include <semaphore.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "data/bus_impl.h"
#include "data/pg.h"
#include "tests/lib/inloop.h"
#include "tests/lib/servers.h"

#include <check.h> /* last: it defines fail() */

#define A "11111111-1111-4111-8111-111111111111"
#define GOT_MAX 64
#define ODD "a\\u0000\n\"" /* looks like a NUL, is none */
#define ODD_N 9

static const int64_t quick[BUS_RETRIES] = { 50, 100, 150 };

/* What a subscription got. */
struct got {
	pthread_mutex_t lock;
	sem_t sem;
	json_t *events[GOT_MAX];
	int64_t at_us[GOT_MAX];
	int n, fail;    /* how many deliveries fail before one does not */
	unsigned loops; /* bit per loop that delivered */
};

static void
got_init(struct got *g)
{
	memset(g, 0, sizeof *g);
	pthread_mutex_init(&g->lock, NULL);
	sem_init(&g->sem, 0, 0);
}

static void
got_fini(struct got *g)
{
	while (g->n > 0)
		json_decref(g->events[--g->n]);
	sem_destroy(&g->sem);
	pthread_mutex_destroy(&g->lock);
}

static void
deliver(struct ins_loop *loop, void *user, json_t *envelope, void *token)
{
	struct got *g = user;
	int fail_it;

	pthread_mutex_lock(&g->lock);
	ck_assert_int_lt(g->n, GOT_MAX);
	g->at_us[g->n] = base_mono_us();
	g->events[g->n++] = envelope;
	g->loops |= 1u << loop->index;
	fail_it = g->fail-- > 0;
	pthread_mutex_unlock(&g->lock);
	bus_done(token, fail_it ? -INS_EUPSTREAM : 0, fail_it ? "the peer\nsaid no" : NULL);
	sem_post(&g->sem);
}

static void
wait_for(struct got *g, int n)
{
	while (n-- > 0)
		while (sem_wait(&g->sem) != 0)
			;
}

static struct ins_stmt *note, *bad;

static void
begin_on(const char *nats_url)
{
	char err[160];

	servers_fresh_database();
	servers_sql(
	    "SET ROLE insula_system; INSERT INTO tenants (tenant_id, name) VALUES ('" A "', 'a')");
	loop_init(2);
	pg_init(servers_pg_url());
	note = pg_stmt_new("SELECT 1", err);
	bad = pg_stmt_new("SELECT 1/0", err);
	bus_retry_set(quick);
	inloop_start(2, pg_loop_start);
	bus_init(nats_url);
	loop_call(loop_get(0), (void (*)(struct ins_loop *, void *))(uintptr_t)outbox_start, NULL);
}

static void
begin(void)
{
	begin_on(servers_nats_url());
}

static void
end(void)
{
	loop_call(loop_get(0), (void (*)(struct ins_loop *, void *))(uintptr_t)outbox_stop, NULL);
	bus_fini();
	inloop_stop(pg_loop_stop);
	pg_fini();
	pg_stmt_free(note);
	pg_stmt_free(bad);
}

struct emit {
	const char *type;
	int number, with_failure;
	const char *odd; /* ODD_N bytes of the payload */
};

static int
emit_task(struct ins_ctx *ctx, void *arg)
{
	struct emit *e = arg;
	json_t *payload = json_pack("{s:i, s:o}", "number", e->number, "odd",
	    json_stringn(e->odd == NULL ? ODD : e->odd, ODD_N));
	ins_call calls[2];
	int r;

	snprintf(ctx->tenant_id, sizeof ctx->tenant_id, A);
	snprintf(ctx->user_id, sizeof ctx->user_id, "user-7");
	snprintf(ctx->traceparent, sizeof ctx->traceparent,
	    "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
	calls[0].stmt = e->with_failure ? bad : note;
	calls[0].args = NULL;
	calls[0].n_args = 0;
	r = outbox_event(ctx, NULL, e->type, "run-1", "faq_workflow", NULL, payload, &calls[1]);
	json_decref(payload);
	return r != 0 ? r : pg_batch(ctx, PG_APP, A, "user-7", calls, 2, NULL);
}

static int
emit(const char *type, int number)
{
	struct emit e = { type, number, 0, NULL };

	return inloop_run(0, emit_task, &e);
}

/* Each test has an event type of its own, since the streams outlive it. */
START_TEST(an_event_arrives_with_exactly_the_envelope_of_the_architecture)
{
	static const char *const keys[] = { "event_type", "event_id", "timestamp", "tenant_id",
		"user_id", "run_id", "workflow", "tier", "metadata", "payload" };
	static const char *const meta_keys[] = { "source", "user_agent", "ip_address", "schema",
		"traceparent" };
	struct got g;
	json_t *e, *m;
	size_t i;

	got_init(&g);
	begin();
	bus_subscribe("test-exact", "test.exact", deliver, &g);
	ck_assert_int_eq(emit("test.exact", 42), 0);
	wait_for(&g, 1);
	e = g.events[0];
	ck_assert_uint_eq(json_object_size(e), NELEM(keys));
	for (i = 0; i < NELEM(keys); i++)
		ck_assert_ptr_nonnull(json_object_get(e, keys[i]));
	ck_assert_str_eq(json_string_value(json_object_get(e, "event_type")), "test.exact");
	ck_assert_int_eq(strncmp(json_string_value(json_object_get(e, "event_id")), "evt_", 4), 0);
	ck_assert_str_eq(json_string_value(json_object_get(e, "tenant_id")), A);
	ck_assert_str_eq(json_string_value(json_object_get(e, "user_id")), "user-7");
	ck_assert_str_eq(json_string_value(json_object_get(e, "run_id")), "run-1");
	ck_assert(json_is_null(json_object_get(e, "tier")));
	ck_assert_int_eq(json_string_value(json_object_get(e, "timestamp"))[26], 'Z');
	ck_assert_int_eq(
	    json_integer_value(json_object_get(json_object_get(e, "payload"), "number")), 42);
	m = json_object_get(json_object_get(e, "payload"), "odd");
	ck_assert_uint_eq(json_string_length(m), ODD_N);
	ck_assert_int_eq(memcmp(json_string_value(m), ODD, ODD_N), 0);
	m = json_object_get(e, "metadata");
	ck_assert_uint_eq(json_object_size(m), NELEM(meta_keys));
	for (i = 0; i < NELEM(meta_keys); i++)
		ck_assert_ptr_nonnull(json_object_get(m, meta_keys[i]));
	end();
	ck_assert_str_eq(servers_sql_super("SELECT count(*) FROM outbox"), "0");
	got_fini(&g);
}
END_TEST

START_TEST(an_event_of_a_transaction_that_failed_never_leaves)
{
	struct emit e = { "test.failed", 1, 1, NULL };
	struct got g;

	got_init(&g);
	begin();
	bus_subscribe("test-failed", "test.failed", deliver, &g);
	ck_assert_int_eq(inloop_run(0, emit_task, &e), -INS_EINVAL);
	ck_assert_int_eq(emit("test.failed", 2), 0);
	wait_for(&g, 1);
	ck_assert_int_eq(
	    json_integer_value(json_object_get(json_object_get(g.events[0], "payload"), "number")),
	    2);
	end();
	ck_assert_int_eq(g.n, 1);
	got_fini(&g);
}
END_TEST

START_TEST(a_malformed_event_type_is_refused)
{
	begin();
	ck_assert_int_eq(emit("", 1), -INS_EINTERNAL);
	ck_assert_int_eq(emit("a..b", 1), -INS_EINTERNAL);
	ck_assert_int_eq(emit("a.*", 1), -INS_EINTERNAL);
	ck_assert_int_eq(emit("a.>", 1), -INS_EINTERNAL);
	ck_assert_int_eq(emit(".a", 1), -INS_EINTERNAL);
	ck_assert_int_eq(emit("a b", 1), -INS_EINTERNAL);
	end();
}
END_TEST

START_TEST(a_payload_that_no_reader_would_take_is_refused)
{
	struct emit e = { "test.nul", 1, 0, "a\0 and so on" };

	begin();
	ck_assert_int_eq(inloop_run(0, emit_task, &e), -INS_EINVAL);
	end();
}
END_TEST

START_TEST(the_pauses_are_1_5_and_25_seconds)
{
	bus_retry_set(NULL);
	ck_assert_int_eq(bus_retry_ms[0], 1000);
	ck_assert_int_eq(bus_retry_ms[1], 5000);
	ck_assert_int_eq(bus_retry_ms[2], 25000);
}
END_TEST

static uint64_t
dead_letters(void)
{
	natsConnection *nc = NULL;
	jsStreamInfo *si = NULL;
	jsCtx *js = NULL;
	uint64_t n = 0;

	ck_assert_int_eq(natsConnection_ConnectTo(&nc, servers_nats_url()), NATS_OK);
	ck_assert_int_eq(natsConnection_JetStream(&js, nc, NULL), NATS_OK);
	if (js_GetStreamInfo(&si, js, BUS_DEAD_STREAM, NULL, NULL) == NATS_OK)
		n = si->State.Msgs;
	jsStreamInfo_Destroy(si);
	jsCtx_Destroy(js);
	natsConnection_Destroy(nc);
	return n;
}

static void
wait_for_dead_letters(uint64_t n)
{
	while (dead_letters() != n)
		;
}

START_TEST(a_failing_delivery_is_retried_three_times_then_dead_and_can_be_redriven)
{
	struct got g, other;
	const char *id;
	int i;

	got_init(&g);
	got_init(&other);
	begin();
	g.fail = 4;
	bus_subscribe("test-retry", "test.retry", deliver, &g);
	bus_subscribe("other-retry", "test.retry", deliver, &other);
	ck_assert_int_eq(emit("test.retry", 1), 0);
	wait_for(&g, 4);
	wait_for(&other, 1);
	for (i = 0; i < BUS_RETRIES; i++)
		ck_assert_int_ge(g.at_us[i + 1] - g.at_us[i], quick[i] * 1000 - 5000);
	wait_for_dead_letters(1);
	id = json_string_value(json_object_get(g.events[0], "event_id"));
	end();

	/* The CLI, beside no host. */
	ck_assert_int_eq(bus_dlq_list(servers_nats_url()), 0);
	ck_assert_int_eq(bus_dlq_redrive(servers_nats_url(), "evt_unknown"), 1);
	ck_assert_uint_eq(dead_letters(), 1);
	ck_assert_int_eq(bus_dlq_redrive(servers_nats_url(), id), 0);
	ck_assert_uint_eq(dead_letters(), 0);

	begin();
	bus_subscribe("test-retry", "test.retry", deliver, &g);
	bus_subscribe("other-retry", "test.retry", deliver, &other);
	wait_for(&g, 1);
	ck_assert_str_eq(json_string_value(json_object_get(g.events[4], "event_id")), id);
	/* Whoever had not failed is not bothered: the next that it sees is a new one. */
	ck_assert_int_eq(emit("test.retry", 2), 0);
	wait_for(&other, 1);
	wait_for(&g, 1);
	ck_assert_int_eq(json_integer_value(json_object_get(
			     json_object_get(other.events[1], "payload"), "number")),
	    2);
	end();
	ck_assert_uint_eq(dead_letters(), 0);
	got_fini(&g);
	got_fini(&other);
}
END_TEST

START_TEST(bytes_that_are_no_event_go_to_the_dead_letters_at_once)
{
	natsConnection *nc = NULL;
	struct got g;
	jsCtx *js = NULL;

	got_init(&g);
	begin();
	bus_subscribe("test-bytes", "test.bytes", deliver, &g);
	while (!bus_up())
		;
	ck_assert_int_eq(natsConnection_ConnectTo(&nc, servers_nats_url()), NATS_OK);
	ck_assert_int_eq(natsConnection_JetStream(&js, nc, NULL), NATS_OK);
	ck_assert_int_eq(js_Publish(NULL, js, "t.x.test.bytes", "\xff{", 2, NULL, NULL), NATS_OK);
	jsCtx_Destroy(js);
	natsConnection_Destroy(nc);
	wait_for_dead_letters(1);
	ck_assert_int_eq(emit("test.bytes", 5), 0);
	wait_for(&g, 1);
	end();
	ck_assert_int_eq(g.n, 1);
	ck_assert_int_eq(bus_dlq_redrive(servers_nats_url(), "all"), 0);
	got_fini(&g);
}
END_TEST

START_TEST(readers_of_one_durable_share_and_every_loop_delivers)
{
	struct got g;
	int i;

	got_init(&g);
	begin();
	bus_subscribe("test-share", "test.share", deliver, &g);
	bus_subscribe("test-share", "test.share", deliver, &g);
	for (i = 0; i < 20; i++)
		ck_assert_int_eq(emit("test.share", i), 0);
	wait_for(&g, 20);
	end();
	ck_assert_int_eq(g.n, 20);
	ck_assert_uint_eq(g.loops, 3);
	got_fini(&g);
}
END_TEST

START_TEST(after_unsubscribing_nothing_is_delivered_and_nothing_is_lost)
{
	struct bus_sub *s;
	struct got g;

	got_init(&g);
	begin();
	s = bus_subscribe("test-leave", "test.leave", deliver, &g);
	ck_assert_int_eq(emit("test.leave", 1), 0);
	wait_for(&g, 1);
	bus_unsubscribe(s);
	ck_assert_int_eq(emit("test.leave", 2), 0);
	while (strcmp(servers_sql_super("SELECT count(*) FROM outbox"), "0") != 0)
		;
	ck_assert_int_eq(g.n, 1);
	bus_subscribe("test-leave", "test.leave", deliver, &g);
	wait_for(&g, 1);
	end();
	ck_assert_int_eq(g.n, 2);
	got_fini(&g);
}
END_TEST

START_TEST(while_nats_is_away_events_wait_and_none_is_lost)
{
	struct got g;
	int i, k, seen;
	pid_t pid;

	got_init(&g);
	begin();
	bus_subscribe("test-away", "test.away", deliver, &g);
	ck_assert_int_eq(emit("test.away", 0), 0);
	wait_for(&g, 1);
	pid = servers_pid(servers_dir(), "nats-server");
	ck_assert_int_gt(pid, 0);
	ck_assert_int_eq(kill(pid, SIGKILL), 0); /* its supervisor starts it again */
	while (bus_up())
		;
	for (i = 1; i <= 10; i++)
		ck_assert_int_eq(emit("test.away", i), 0); /* the writer notices nothing */
	wait_for(&g, 10);
	end();
	for (i = 0; i <= 10; i++) {
		for (k = 0, seen = 0; k < g.n; k++)
			seen += json_integer_value(json_object_get(
				    json_object_get(g.events[k], "payload"), "number")) == i;
		ck_assert_int_ge(seen, 1);
	}
	ck_assert_str_eq(servers_sql_super("SELECT count(*) FROM outbox"), "0");
	got_fini(&g);
}
END_TEST

START_TEST(nats_may_come_after_the_host)
{
	char dir[64], port[16], url[64];
	struct got g;
	pid_t pid;

	got_init(&g);
	snprintf(dir, sizeof dir, "%s", servers_temp_dir());
	snprintf(port, sizeof port, "%d", 20000 + getpid() % 20000);
	snprintf(url, sizeof url, "nats://127.0.0.1:%s", port);
	begin_on(url);
	bus_subscribe("test-late", "test.late", deliver, &g);
	ck_assert_int_eq(emit("test.late", 1), 0);
	ck_assert_int_eq(bus_up(), 0);
	ck_assert_str_eq(servers_sql_super("SELECT count(*) FROM outbox"), "1");
	pid = fork();
	if (pid == 0) {
		execl("/usr/sbin/nats-server", "nats-server", "-a", "127.0.0.1", "-p", port, "-js",
		    "-sd", dir, "-l", "/dev/null", NULL);
		_exit(127);
	}
	wait_for(&g, 1);
	end();
	kill(pid, SIGTERM);
	waitpid(pid, NULL, 0);
	servers_remove(dir);
	got_fini(&g);
}
END_TEST

START_TEST(the_relay_finds_a_new_connection)
{
	struct got g;

	got_init(&g);
	begin();
	bus_subscribe("test-relay", "test.relay", deliver, &g);
	ck_assert_int_eq(emit("test.relay", 1), 0);
	wait_for(&g, 1);
	servers_sql_super("SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
			  "WHERE application_name = 'insula relay'");
	ck_assert_int_eq(emit("test.relay", 2), 0);
	wait_for(&g, 1);
	end();
	got_fini(&g);
}
END_TEST

/* Many events, put into the stream from outside as fast as it takes them. */
#define MANY 1500
static struct {
	pthread_mutex_t lock;
	pthread_cond_t cond;
	unsigned char seen[MANY];
	int n_seen, n_again, keep, n_held, most_held;
	void *held[MANY];
} many = { .lock = PTHREAD_MUTEX_INITIALIZER, .cond = PTHREAD_COND_INITIALIZER };

static void
deliver_many(struct ins_loop *loop, void *user, json_t *envelope, void *token)
{
	int i = (int)json_integer_value(json_object_get(envelope, "number"));

	ck_assert(i >= 0 && i < MANY);
	json_decref(envelope);
	pthread_mutex_lock(&many.lock);
	if (many.seen[i])
		many.n_again++;
	else
		many.n_seen++;
	many.seen[i] = 1;
	if (many.keep) {
		ck_assert_int_lt(many.n_held, MANY);
		many.held[many.n_held++] = token;
		if (many.n_held > many.most_held)
			many.most_held = many.n_held;
		token = NULL;
	}
	pthread_cond_broadcast(&many.cond);
	pthread_mutex_unlock(&many.lock);
	if (token != NULL)
		bus_done(token, 0, NULL);
}

/* Until so many were seen, or are held. */
static void
wait_many(const int *what, int n)
{
	pthread_mutex_lock(&many.lock);
	while (*what < n)
		pthread_cond_wait(&many.cond, &many.lock);
	pthread_mutex_unlock(&many.lock);
}

static void *
publish_many(void *arg)
{
	natsConnection *nc = NULL;
	char data[64];
	jsCtx *js = NULL;
	int i;

	ck_assert_int_eq(natsConnection_ConnectTo(&nc, servers_nats_url()), NATS_OK);
	ck_assert_int_eq(natsConnection_JetStream(&js, nc, NULL), NATS_OK);
	for (i = 0; i < MANY; i++) {
		snprintf(data, sizeof data, "{\"number\":%d}", i);
		ck_assert_int_eq(
		    js_Publish(NULL, js, arg, data, (int)strlen(data), NULL, NULL), NATS_OK);
	}
	jsCtx_Destroy(js);
	natsConnection_Destroy(nc);
	return NULL;
}

START_TEST(no_more_is_in_flight_than_there_is_room_for_and_all_arrives_once)
{
	pthread_t t;
	void *token;
	int i;

	many.keep = 1;
	begin();
	bus_subscribe("test-room", "test.room", deliver_many, NULL);
	while (!bus_up())
		;
	pthread_create(&t, NULL, publish_many, (char *)(uintptr_t) "t.x.test.room");
	wait_many(&many.n_held, BUS_IN_FLIGHT);
	pthread_join(t, NULL);
	for (i = 0; i < MANY; i++) {
		pthread_mutex_lock(&many.lock);
		while (many.n_held == 0)
			pthread_cond_wait(&many.cond, &many.lock);
		token = many.held[--many.n_held];
		pthread_mutex_unlock(&many.lock);
		bus_done(token, 0, NULL);
	}
	end();
	ck_assert_int_eq(many.n_seen, MANY);
	ck_assert_int_eq(many.most_held, BUS_IN_FLIGHT);
	ck_assert_int_eq(many.n_again, 0);
}
END_TEST

/* As when a plugin is replaced under load. */
START_TEST(subscriptions_come_and_go_while_events_flow_and_none_is_lost)
{
	struct bus_sub *s;
	pthread_t t;
	int i;

	begin();
	while (!bus_up())
		;
	pthread_create(&t, NULL, publish_many, (char *)(uintptr_t) "t.x.test.churn");
	for (i = 1; i <= 40; i++) {
		s = bus_subscribe("test-churn", "test.churn", deliver_many, NULL);
		wait_many(&many.n_seen, i * 5);
		bus_unsubscribe(s);
	}
	bus_subscribe("test-churn", "test.churn", deliver_many, NULL);
	pthread_join(t, NULL);
	wait_many(&many.n_seen, MANY);
	end();
	ck_assert_uint_eq(dead_letters(), 0);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("bus");
	TCase *t = tcase_create("bus");
	SRunner *r;
	int failed;

	servers_start(SERVERS_PG | SERVERS_NATS);
	tcase_set_timeout(t, 60);
	tcase_add_test(t, an_event_arrives_with_exactly_the_envelope_of_the_architecture);
	tcase_add_test(t, an_event_of_a_transaction_that_failed_never_leaves);
	tcase_add_test(t, a_malformed_event_type_is_refused);
	tcase_add_test(t, a_payload_that_no_reader_would_take_is_refused);
	tcase_add_test(t, the_pauses_are_1_5_and_25_seconds);
	tcase_add_test(t, a_failing_delivery_is_retried_three_times_then_dead_and_can_be_redriven);
	tcase_add_test(t, bytes_that_are_no_event_go_to_the_dead_letters_at_once);
	tcase_add_test(t, readers_of_one_durable_share_and_every_loop_delivers);
	tcase_add_test(t, after_unsubscribing_nothing_is_delivered_and_nothing_is_lost);
	tcase_add_test(t, no_more_is_in_flight_than_there_is_room_for_and_all_arrives_once);
	tcase_add_test(t, subscriptions_come_and_go_while_events_flow_and_none_is_lost);
	tcase_add_test(t, while_nats_is_away_events_wait_and_none_is_lost);
	tcase_add_test(t, nats_may_come_after_the_host);
	tcase_add_test(t, the_relay_finds_a_new_connection);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	servers_stop();
	return failed != 0;
}
