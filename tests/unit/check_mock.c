/* check_mock.c: the SDK's mock host, driven as a plugin's author would: one plugin that uses every
 * capability which the mock offers, and what the test then sees. */
#include <insula/mock.h>
#include <insula/model.h>

#include <check.h>

/* ---------------------------------------------------------------- the plugin */

struct conf {
	const char *greeting;
	int64_t pause;
	int32_t forget;
};

struct shop {
	struct conf conf;
	ins_host *host;
	const ins_stmt *insert, *list;
	ins_metric *orders;
};

struct local {
	ins_cond *cond;
	int ticks;
};

static int
greet(ins_ctx *ctx, void *self)
{
	const struct shop *s = self;
	const char *lang = ins_query(ctx, "lang");

	ins_set_header(ctx, "X-Shop", "open");
	return ins_reply_json(ctx, 200, "{s:s, s:s, s:s*, s:s}", "greeting", s->conf.greeting,
	    "name", ins_param(ctx, "name"), "lang", lang, "tenant", ins_tenant_id(ctx));
}

static int
order(ins_ctx *ctx, void *self)
{
	struct shop *s = self;
	ins_call calls[2];
	ins_rows *rows[2];
	ins_arg args[1];
	json_t *body;
	const char *what;
	int r = ins_body_json(ctx, &body);

	if (r != 0)
		return r;
	what = json_string_value(json_object_get(body, "what"));
	if (what == NULL) {
		ins_field(ctx, "what");
		return ins_fail(ctx, INS_EINVAL, "what is missing");
	}
	args[0] = ins_text(what);
	calls[0].stmt = s->insert;
	calls[0].args = args;
	calls[0].n_args = 1;
	r = ins_event(ctx, "shop.order.placed", NULL, NULL, NULL, body, &calls[1]);
	if (r == 0)
		r = ins_db_batch(ctx, calls, 2, rows);
	if (r != 0)
		return r;
	ins_add(s->orders, what, 1);
	ins_log(ctx, INS_LOG_INFO, "order.placed", json_pack("{s:s}", "what", what));
	return ins_reply_json(ctx, 201, "{s:s}", "id", ins_value(rows[0], 0, 0));
}

static int
list(ins_ctx *ctx, void *self)
{
	struct shop *s = self;
	json_t *all = json_array();
	ins_rows *rows;
	size_t i;
	int r = ins_db(ctx, s->list, INS_NO_ARGS, &rows);

	for (i = 0; r == 0 && i < ins_rows_count(rows); i++)
		json_array_append_new(all,
		    json_pack("{s:I, s:s?}", "id", (json_int_t)ins_value_int(rows, i, 0), "what",
			ins_value(rows, i, 1)));
	if (r == 0)
		return ins_reply_take(ctx, 200, all);
	json_decref(all);
	return r;
}

static int
ticker(ins_ctx *ctx, void *self)
{
	int r = ins_stream(ctx, 200, "text/event-stream"), i;

	if (r == 0)
		r = ins_heartbeat(ctx, 15000, ins_s(": ping\n\n"));
	for (i = 0; i < 2 && r == 0; i++) {
		r = ins_sse(ctx, "tick", NULL, ins_s("1"));
		if (r == 0)
			r = ins_sleep(ctx, 20000);
	}
	return r;
}

static int
forever(ins_ctx *ctx, void *self)
{
	const struct shop *s = self;
	struct local *l = ins_local(ctx, s->host);

	return ins_cond_wait(ctx, l->cond, -1);
}

static int
supplier(ins_ctx *ctx, void *self)
{
	ins_fetch_request req = { sizeof req, 0, "GET", "https://supplier.example/stock" };
	ins_str piece;
	ins_fetch *f;
	size_t n = 0, reads = 0;
	int r = ins_fetch_open(ctx, &req, &f);

	if (r != 0)
		return r;
	while ((r = ins_fetch_read(ctx, f, &piece)) == 1) {
		n += piece.n;
		reads++;
	}
	if (r != 0)
		return r;
	return ins_reply_json(ctx, 200, "{s:i, s:i, s:i, s:s%}", "status", ins_fetch_status(f),
	    "bytes", (int)n, "reads", (int)reads, "kind", ins_fetch_header(f, "x-kind").p,
	    ins_fetch_header(f, "x-kind").n);
}

static int
big(ins_ctx *ctx, void *self)
{
	return ins_alloc(ctx, 64 << 20) == NULL ? -INS_ENOMEM : 0;
}

static int
models(ins_ctx *ctx, void *self)
{
	const struct shop *s = self;
	const char *name = "none";

	ins_service(ctx, s->host, 0, 0, &name);
	return ins_reply_json(ctx, 200, "{s:s}", "model", name);
}

static int
restocked(ins_ctx *ctx, void *self, const json_t *envelope)
{
	const json_t *p = json_object_get(envelope, "payload");

	if (json_object_get(p, "what") == NULL)
		return ins_fail(ctx, INS_EINVAL, "an event without a thing");
	ins_log(ctx, INS_LOG_INFO, "restocked",
	    json_pack("{s:s}", "for", json_string_value(json_object_get(envelope, "tenant_id"))));
	return 0;
}

static int
tick(ins_ctx *ctx, void *arg)
{
	const struct shop *s = arg;
	struct local *l = ins_local(ctx, s->host);

	while (ins_sleep(ctx, s->conf.pause) == 0)
		l->ticks++;
	return 0;
}

static int
ticks(ins_ctx *ctx, void *arg)
{
	const struct shop *s = arg;

	return ((struct local *)ins_local(ctx, s->host))->ticks;
}

static int
start(void *self, ins_loop *loop, void **ret_local)
{
	struct shop *s = self;
	struct local *l = calloc(1, sizeof *l);

	l->cond = ins_cond_new(loop);
	*ret_local = l;
	return ins_spawn(s->host, loop, "tick", tick, s);
}

static void
stop(void *self, ins_loop *loop, void *local)
{
	struct shop *s = self;
	struct local *l = local;

	if (!s->conf.forget)
		ins_cond_free(l->cond);
	free(l);
}

static const char thing[] = "a service";

static int
init(ins_host *host, const void *conf, void **ret_self)
{
	struct shop *s = ins_new(host, sizeof *s);

	s->conf = *(const struct conf *)conf;
	s->host = host;
	*ret_self = s;
	if (strcmp(s->conf.greeting, "rude") == 0)
		return ins_conf_error(host, "greeting", "be polite");
	s->insert = ins_stmt_new(host, "INSERT INTO orders (what) VALUES ($1) RETURNING id");
	s->list = ins_stmt_new(host,
	    strcmp(s->conf.greeting, "set") == 0 ? "SET search_path = other"
						 : "SELECT id, what FROM orders");
	s->orders = ins_counter(host, "shop_orders_total", "orders placed", "what");
	if (ins_route(host, "GET", "/v1/greet/{name}", "shop:read", greet) != 0 ||
	    ins_route(host, "POST", "/v1/orders", "shop:write", order) != 0 ||
	    ins_route(host, "GET", "/v1/orders", "shop:read", list) != 0 ||
	    ins_route(host, "GET", "/ticker", INS_PUBLIC, ticker) != 0 ||
	    ins_route(host, "GET", "/forever", INS_PUBLIC, forever) != 0 ||
	    ins_route(host, "GET", "/supplier", INS_PUBLIC, supplier) != 0 ||
	    ins_route(host, "GET", "/big", INS_PUBLIC, big) != 0 ||
	    ins_route(host, "GET", "/models", INS_PUBLIC, models) != 0 ||
	    ins_subscribe(host, "shop.restocked", restocked) != 0)
		return -INS_EINVAL;
	return ins_provide(host, "shop.thing/1", "thing", thing);
}

static const ins_option options[] = {
	INS_OPT_STR(struct conf, greeting, "Hello", "the word before the name"),
	INS_OPT_MS(struct conf, pause, "1s", "between two ticks"),
	INS_OPT_BOOL(struct conf, forget, "false", "leave a condition behind"),
	INS_OPT_END(struct conf),
};
static const ins_need needs[] = { { INS_MODEL_IFACE, INS_OPTIONAL }, { NULL, 0 } };

INS_PLUGIN(.name = "shop", .version = "1.0.0", .summary = "a shop",
    .caps = INS_CAP_HTTP | INS_CAP_DB | INS_CAP_BUS | INS_CAP_FETCH, .options = options,
    .needs = needs, .init = init, .start = start, .stop = stop);

/* ---------------------------------------------------------------- the tests */

static ins_mock *m;

static void
up(const char *conf)
{
	m = ins_mock_new(ins_plugin_entry);
	ck_assert_msg(ins_mock_start(m, conf) == 0, "%s", ins_mock_error(m));
}

static void
down(void)
{
	ck_assert_msg(ins_mock_stop(m) == 0, "%s", ins_mock_error(m));
	ins_mock_free(m);
	m = NULL;
}

static const char *
text_of(const ins_mock_answer *a, const char *key)
{
	const char *z = json_string_value(json_object_get(a->json, key));

	return z != NULL ? z : "";
}

static const char *
message_of(const ins_mock_answer *a)
{
	const char *z = json_string_value(
	    json_object_get(json_object_get(a->json, "error"), "message"));

	return z != NULL ? z : "";
}

START_TEST(a_request_takes_the_hosts_way)
{
	const ins_mock_answer *a;

	up("greeting: Salve");
	a = ins_mock_request(m, "GET", "/v1/greet/Marcus%20T?lang=la+tin", NULL, NULL);
	ck_assert_int_eq(a->status, 200);
	ck_assert_str_eq(text_of(a, "greeting"), "Salve");
	ck_assert_str_eq(text_of(a, "name"), "Marcus T");
	ck_assert_str_eq(text_of(a, "lang"), "la tin");
	ck_assert_str_eq(text_of(a, "tenant"), INS_MOCK_TENANT);
	ck_assert_str_eq(ins_mock_header(a, "x-shop"), "open");
	ck_assert_ptr_nonnull(ins_mock_header(a, "x-request-id"));
	a = ins_mock_request(m, "GET", "/nowhere", NULL, NULL);
	ck_assert_int_eq(a->status, 404);
	a = ins_mock_request(m, "DELETE", "/v1/orders", NULL, NULL);
	ck_assert_int_eq(a->status, 405);
	ck_assert_ptr_nonnull(strstr(ins_mock_header(a, "allow"), "POST"));
	down();
}
END_TEST

START_TEST(permissions_are_checked)
{
	const ins_mock_answer *a;

	up(NULL);
	ins_mock_caller(m, NULL, NULL, NULL, NULL);
	a = ins_mock_request(m, "GET", "/v1/greet/x", NULL, NULL);
	ck_assert_int_eq(a->status, 401);
	ck_assert_str_eq(ins_mock_header(a, "www-authenticate"), "Bearer");
	ins_mock_caller(m, INS_MOCK_TENANT, "u", "free", "shop:write");
	a = ins_mock_request(m, "GET", "/v1/greet/x", NULL, NULL);
	ck_assert_int_eq(a->status, 403);
	ins_mock_caller(m, INS_MOCK_TENANT, "u", "free", "shop:*");
	a = ins_mock_request(m, "GET", "/v1/greet/x", NULL, NULL);
	ck_assert_int_eq(a->status, 200);
	down();
}
END_TEST

START_TEST(options_are_refused_as_by_the_host)
{
	m = ins_mock_new(ins_plugin_entry);
	ck_assert_int_eq(ins_mock_start(m, "greting: x"), -1);
	ck_assert_str_eq(ins_mock_error(m),
	    "options:1: plugins.shop.config.greting: there is no such key; did you mean "
	    "greeting?");
	ck_assert_int_eq(ins_mock_start(m, "\npause: soon"), -1);
	ck_assert_ptr_nonnull(strstr(ins_mock_error(m), "options:2: plugins.shop.config.pause"));
	ck_assert_int_eq(ins_mock_start(m, "greeting: rude"), -1);
	ck_assert_ptr_nonnull(strstr(ins_mock_error(m), "be polite"));
	ck_assert_int_eq(ins_mock_start(m, "greeting: set"), -1);
	ck_assert_ptr_nonnull(strstr(ins_mock_error(m), "no data statement begins with SET"));
	ck_assert_msg(ins_mock_start(m, NULL) == 0, "%s", ins_mock_error(m));
	down();
}
END_TEST

START_TEST(an_order_and_its_event_commit_together)
{
	const ins_mock_answer *a;
	const json_t *call, *event;

	up(NULL);
	ins_mock_db(m, "INSERT INTO orders", json_pack("[[i]]", 41));
	a = ins_mock_request(m, "POST", "/v1/orders", NULL, "{\"what\": \"bread\"}");
	ck_assert_int_eq(a->status, 201);
	ck_assert_str_eq(text_of(a, "id"), "41");
	call = json_array_get(ins_mock_db_calls(m), 0);
	ck_assert_str_eq(
	    json_string_value(json_array_get(json_object_get(call, "args"), 0)), "bread");
	ck_assert_str_eq(json_string_value(json_object_get(call, "tenant")), INS_MOCK_TENANT);
	ck_assert(json_is_true(json_object_get(call, "committed")));
	ck_assert_uint_eq(json_array_size(ins_mock_events(m)), 1);
	event = json_array_get(ins_mock_events(m), 0);
	ck_assert_str_eq(
	    json_string_value(json_object_get(event, "event_type")), "shop.order.placed");
	ck_assert_str_eq(
	    json_string_value(json_object_get(json_object_get(event, "metadata"), "source")),
	    "shop");
	ck_assert(ins_mock_metric(m, "shop_orders_total{what=\"bread\"}") == 1);
	ck_assert_ptr_nonnull(strstr(ins_mock_log(m), "\"event\":\"order.placed\""));

	ins_mock_db_fail(m, "INSERT INTO orders", INS_ECONFLICT);
	a = ins_mock_request(m, "POST", "/v1/orders", NULL, "{\"what\": \"bread\"}");
	ck_assert_int_eq(a->status, 409);
	ck_assert_uint_eq(json_array_size(ins_mock_events(m)), 1);
	call = json_array_get(ins_mock_db_calls(m), 1);
	ck_assert(json_is_false(json_object_get(call, "committed")));

	a = ins_mock_request(m, "POST", "/v1/orders", NULL, "{}");
	ck_assert_int_eq(a->status, 400);
	ck_assert_str_eq(message_of(a), "what is missing");
	a = ins_mock_request(m, "POST", "/v1/orders", "Content-Type: text/plain", "x");
	ck_assert_int_eq(a->status, 415);
	down();
}
END_TEST

START_TEST(rows_have_postgresqls_text)
{
	const ins_mock_answer *a;

	up(NULL);
	ins_mock_db(m, "FROM orders", json_pack("[[i, s], [i, n]]", 1, "bread", 2));
	a = ins_mock_request(m, "GET", "/v1/orders", NULL, NULL);
	ck_assert_str_eq(a->body, "[{\"id\":1,\"what\":\"bread\"},{\"id\":2,\"what\":null}]");
	a = ins_mock_request(m, "GET", "/v1/orders", NULL, NULL);
	ck_assert_int_eq(a->status, 503);
	ck_assert_str_eq(message_of(a), "the mock has no answer for: SELECT id, what FROM orders");
	down();
}
END_TEST

START_TEST(time_passes_only_when_all_wait)
{
	const ins_mock_answer *a;

	up("pause: 10s");
	a = ins_mock_request_begin(m, "GET", "/ticker", NULL, NULL);
	ck_assert_int_eq(a->status, 200);
	ck_assert_int_eq(a->done, 0);
	ck_assert_str_eq(a->body, "event: tick\ndata: 1\n\n");
	ins_mock_advance(m, 16000);
	ck_assert_str_eq(a->body, "event: tick\ndata: 1\n\n: ping\n\n");
	ins_mock_advance(m, 30000);
	ck_assert_int_eq(a->done, 1);
	ck_assert_int_eq(a->cut, 0);
	ck_assert_str_eq(
	    a->body, "event: tick\ndata: 1\n\n: ping\n\nevent: tick\ndata: 1\n\n: ping\n\n");
	down();
}
END_TEST

START_TEST(background_tasks_run_with_the_clock)
{
	struct shop s = { .host = NULL };

	up("pause: 10s");
	s.host = ins_mock_host(m);
	ck_assert_int_eq(ins_mock_run(m, ticks, &s), 0);
	ins_mock_advance(m, 35000);
	ck_assert_int_eq(ins_mock_run(m, ticks, &s), 3);
	down();
}
END_TEST

START_TEST(a_deadline_and_a_leaving_client_cancel)
{
	const ins_mock_answer *a;

	up(NULL);
	a = ins_mock_request(m, "GET", "/forever", NULL, NULL);
	ck_assert_int_eq(a->status, 504);
	a = ins_mock_request_begin(m, "GET", "/forever", NULL, NULL);
	ck_assert_int_eq(a->done, 0);
	ins_mock_leave(m, a);
	ck_assert_int_eq(a->done, 1);
	ck_assert_int_eq(a->status, 0);
	down();
}
END_TEST

START_TEST(the_tasks_memory_has_its_limit)
{
	const ins_mock_answer *a;

	up(NULL);
	a = ins_mock_request(m, "GET", "/big", NULL, NULL);
	ck_assert_int_eq(a->status, 500);
	down();
}
END_TEST

START_TEST(peers_answer_break_off_and_fail)
{
	static const char url[] = "https://supplier.example/";
	const ins_mock_answer *a;

	up(NULL);
	ins_mock_fetch(m, "GET", url, 203, "X-Kind: dry goods", "123456");
	ins_mock_fetch_piece(m, 1);
	a = ins_mock_request(m, "GET", "/supplier", NULL, NULL);
	ck_assert_str_eq(
	    a->body, "{\"status\":203,\"bytes\":6,\"reads\":6,\"kind\":\"dry goods\"}");
	ins_mock_fetch_cut(m, "GET", url, 200, NULL, "12", INS_EUPSTREAM);
	a = ins_mock_request(m, "GET", "/supplier", NULL, NULL);
	ck_assert_int_eq(a->status, 502);
	ins_mock_fetch_fail(m, "GET", url, INS_ETIMEOUT);
	a = ins_mock_request(m, "GET", "/supplier", NULL, NULL);
	ck_assert_int_eq(a->status, 504);
	a = ins_mock_request(m, "GET", "/supplier", NULL, NULL);
	ck_assert_str_eq(
	    message_of(a), "the mock has no answer for: GET https://supplier.example/stock");
	ck_assert_uint_eq(json_array_size(ins_mock_fetches(m)), 4);
	down();
}
END_TEST

START_TEST(events_are_delivered)
{
	up(NULL);
	ck_assert_int_eq(
	    ins_mock_deliver(m, "shop.restocked", json_pack("{s:s}", "what", "bread")), 0);
	ck_assert_ptr_nonnull(strstr(ins_mock_log(m), "\"for\":\"" INS_MOCK_TENANT "\""));
	ck_assert_int_eq(ins_mock_deliver(m, "shop.restocked", NULL), -INS_EINVAL);
	ck_assert_str_eq(ins_mock_error(m), "an event without a thing");
	ck_assert_int_eq(ins_mock_deliver(m, "shop.burnt", NULL), -INS_ENOTFOUND);
	down();
}
END_TEST

START_TEST(services_are_found_both_ways)
{
	const ins_mock_answer *a;

	m = ins_mock_new(ins_plugin_entry);
	ins_mock_provide(m, INS_MODEL_IFACE, "fake", "a vtable");
	ck_assert_msg(ins_mock_start(m, NULL) == 0, "%s", ins_mock_error(m));
	a = ins_mock_request(m, "GET", "/models", NULL, NULL);
	ck_assert_str_eq(text_of(a, "model"), "fake");
	ck_assert_str_eq(ins_mock_service(m, "shop.thing/1", "thing"), "a service");
	ck_assert_ptr_null(ins_mock_service(m, "shop.thing/2", "thing"));
	down();
}
END_TEST

START_TEST(what_is_left_over_has_a_name)
{
	up("forget: true");
	ck_assert_int_eq(ins_mock_stop(m), -1);
	ck_assert_str_eq(ins_mock_error(m), "left over after stop: 1 condition on loop 0");
	ins_mock_free(m);
	up(NULL);
	ins_mock_db(m, "SELECT nothing", json_array());
	ck_assert_int_eq(ins_mock_stop(m), -1);
	ck_assert_str_eq(ins_mock_error(m),
	    "left over after stop: an answer of the database that nobody asked for: SELECT "
	    "nothing");
	ins_mock_free(m);
}
END_TEST

static ins_plugin altered;

static const ins_plugin *
altered_entry(const ins_api *api)
{
	const ins_plugin *d = ins_plugin_entry(api);

	if (altered.name == NULL)
		altered = *d;
	return &altered;
}

START_TEST(another_abi_is_refused_by_its_field)
{
	ins_mock *k = ins_mock_new(altered_entry);

	ck_assert_int_eq(ins_mock_start(k, NULL), 0);
	ck_assert_int_eq(ins_mock_stop(k), 0);
	altered.abi_major = 2;
	ck_assert_int_eq(ins_mock_start(k, NULL), -1);
	ck_assert_ptr_nonnull(strstr(ins_mock_error(k), "abi_major is 2"));
	altered.abi_major = INS_ABI_MAJOR;
	altered.caps = UINT64_C(1) << 63;
	ck_assert_int_eq(ins_mock_start(k, NULL), -1);
	ck_assert_ptr_nonnull(strstr(ins_mock_error(k), "does not offer"));
	ins_mock_free(k);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("mock");
	TCase *c = tcase_create("mock");
	SRunner *r;
	int failed;

	tcase_add_test(c, a_request_takes_the_hosts_way);
	tcase_add_test(c, permissions_are_checked);
	tcase_add_test(c, options_are_refused_as_by_the_host);
	tcase_add_test(c, an_order_and_its_event_commit_together);
	tcase_add_test(c, rows_have_postgresqls_text);
	tcase_add_test(c, time_passes_only_when_all_wait);
	tcase_add_test(c, background_tasks_run_with_the_clock);
	tcase_add_test(c, a_deadline_and_a_leaving_client_cancel);
	tcase_add_test(c, the_tasks_memory_has_its_limit);
	tcase_add_test(c, peers_answer_break_off_and_fail);
	tcase_add_test(c, events_are_delivered);
	tcase_add_test(c, services_are_found_both_ways);
	tcase_add_test(c, what_is_left_over_has_a_name);
	tcase_add_test(c, another_abi_is_refused_by_its_field);
	suite_add_tcase(s, c);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed != 0;
}
