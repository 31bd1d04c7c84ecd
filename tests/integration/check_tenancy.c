/*
 * check_tenancy: the wall between two tenants, tried everywhere. The first one gets documents, an
 * upload and a run; then the second one tries
 *
 *   - every table of the catalog that has a tenant_id, as each role that the host's connections
 * take;
 *   - every route that is registered, with the first one's ids. The answer must be the one for ids
 * that nobody has: a 403, or another text, would tell that there is something.
 *
 * A new table or route is tried without a change here; a route with a parameter of a new kind fails
 * until the table below knows what to put there.
 */
#include "tests/lib/house.h"

#include <check.h>
#include <libpq-fe.h>
#include <time.h>

#include "base/base.h"

#define SECRET "zanzibarquux" /* a word that only the first tenant's document has */
#define STORE_ITEM "{\"namespace\":[\"1\"],\"key\":\"1\",\"value\":{\"text\":\"" SECRET "\"}}"
#define NOBODY "01900000-0000-7000-8000-00000000dead"
#define READY_MS 60000

static const char plugins[] =
    "  auth: {}\n  hello: {}\n  policy_static: {}\n  openai: {}\n  knowledge: {}\n"
    "  index_local: {}\n  model_extractive: {}\n  runs: {}\n  workflow_faq: {}\n  metering: {}\n"
    "  langgraph: {}\n";

/* What the first tenant has. */
static char document_id[40], job_id[40], upload_id[40], run_id[40], chunk_id[40], usage_id[40];
static char thread_id[40], assistant_id[40], thread_run_id[40], checkpoint_id[60];

static struct client *first, *second;
static PGconn *pg; /* the cluster's superuser */

/* ---------------------------------------------------------------- the first tenant's things */

static void
keep(char place[40], const struct reply *r, const char *name)
{
	const char *z = json_string_value(json_object_get(r->json, name));

	if (z == NULL) {
		fprintf(stderr, "tenancy: no %s in %d %s\n", name, r->status, r->body);
		exit(1);
	}
	snprintf(place, 40, "%s", z);
}

/* Asks until the status is what is waited for: ingestion and runs go on by themselves. */
static void
until(struct client *c, const char *path, const char *want)
{
	struct timespec pause = { 0, 50 * 1000 * 1000 };
	int64_t late = base_mono_us() + READY_MS * INT64_C(1000);
	const struct reply *r;
	const char *status;

	for (;;) {
		r = client_get(c, path);
		status = json_string_value(json_object_get(r->json, "status"));
		if (status != NULL && strcmp(status, want) == 0)
			return;
		if (base_mono_us() > late) {
			char *log = house_log();

			fprintf(stderr, "tenancy: %s does not become %s: %d %s\n%s", path, want,
			    r->status, r->body, log);
			exit(1);
		}
		nanosleep(&pause, NULL);
	}
}

static void
add_document(struct client *c, const char *text)
{
	char body[512], path[80];
	const struct reply *r;

	snprintf(body, sizeof body,
	    "{\"title\":\"T\",\"media_type\":\"text/plain\",\"content\":\"%s\"}", text);
	r = client_post(c, "/v1/documents", body);
	keep(document_id, r, "document_id");
	keep(job_id, r, "job_id");
	snprintf(path, sizeof path, "/v1/documents/%s", document_id);
	until(c, path, "indexed");
}

static void
add_run(struct client *c, const char *question)
{
	char body[256], path[80];

	snprintf(body, sizeof body,
	    "{\"workflow\":\"faq_workflow\",\"input\":{\"question\":\"%s\"}}", question);
	keep(run_id, client_post(c, "/v1/runs", body), "run_id");
	snprintf(path, sizeof path, "/v1/runs/%s", run_id);
	until(c, path, "completed");
}

static void
add_usage(struct client *c)
{
	keep(usage_id,
	    client_post(c, "/v1/usage/events",
		"{\"specversion\":\"1.0\",\"type\":\"t\",\"source\":\"/t\",\"id\":\"1\"}"),
	    "id");
}

/* A thread with a run, an assistant, and something in the store. */
static void
add_thread(struct client *c, const char *question)
{
	char body[300], path[120];
	const struct reply *r;

	keep(thread_id, client_post(c, "/threads", "{\"metadata\":{\"note\":\"" SECRET "\"}}"),
	    "thread_id");
	snprintf(body, sizeof body,
	    "{\"assistant_id\":\"faq_workflow\",\"input\":{\"question\":\"%s\"}}", question);
	snprintf(path, sizeof path, "/threads/%s/runs", thread_id);
	keep(thread_run_id, client_post(c, path, body), "run_id");
	snprintf(path, sizeof path, "/threads/%s/runs/%s", thread_id, thread_run_id);
	until(c, path, "success");
	snprintf(checkpoint_id, sizeof checkpoint_id, "%s:0", thread_run_id);
	keep(assistant_id,
	    client_post(
		c, "/assistants", "{\"graph_id\":\"faq_workflow\",\"name\":\"" SECRET "\"}"),
	    "assistant_id");
	r = client_call(c, "PUT", "/store/items", NULL, STORE_ITEM, strlen(STORE_ITEM));
	if (r->status != 204) {
		fprintf(stderr, "tenancy: the store takes nothing: %d %s\n", r->status, r->body);
		exit(1);
	}
}

static void
furnish(void)
{
	char path[128];

	/* the second one has things of the same kind, so that its own rows are there to be seen */
	add_usage(second);
	add_usage(first);
	add_document(second, "The lighthouse of the second tenant stands in the north.");
	add_run(second, "Where does the lighthouse stand?");
	add_document(first, "The " SECRET " is kept in the red box under the stairs.");
	add_run(first, "Where is the " SECRET " kept?");
	add_thread(first, "Where is the " SECRET " kept?");
	keep(upload_id,
	    client_post(first, "/v1/uploads",
		"{\"filename\":\"x.txt\",\"media_type\":\"text/plain\",\"bytes\":10}"),
	    "upload_id");
	snprintf(path, sizeof path, "/v1/uploads/%s/parts/1", upload_id);
	keep(upload_id,
	    client_call(first, "PUT", path, "application/octet-stream", "0123456789", 10),
	    "upload_id");
	/* a table that no route fills */
	servers_sql_super(
	    "INSERT INTO users (tenant_id, email) VALUES ('%s', 'a@example.org')", house_tenant(0));
	snprintf(chunk_id, sizeof chunk_id, "%s",
	    servers_sql_super(
		"SELECT chunk_id FROM chunks WHERE tenant_id = '%s' LIMIT 1", house_tenant(0)));
}

/* ---------------------------------------------------------------- tables */

static PGresult *__attribute__((format(printf, 1, 2))) sql(const char *fmt, ...)
{
	char text[2048];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	return PQexec(pg, text);
}

/* The first value as a number; -1 when the role may not do this at all. Any other error fails the
 * test. */
static long long
number(PGresult *res)
{
	const char *state = PQresultErrorField(res, PG_DIAG_SQLSTATE);
	long long n = -1;

	if (PQresultStatus(res) == PGRES_TUPLES_OK)
		n = atoll(PQgetvalue(res, 0, 0));
	else if (PQresultStatus(res) == PGRES_COMMAND_OK)
		n = atoll(PQcmdTuples(res));
	else
		ck_assert_msg(
		    state != NULL && strcmp(state, "42501") == 0, "%s", PQresultErrorMessage(res));
	PQclear(res);
	return n;
}

static void
must_run(PGresult *res)
{
	ck_assert_msg(
	    PQresultStatus(res) == PGRES_COMMAND_OK || PQresultStatus(res) == PGRES_TUPLES_OK, "%s",
	    PQresultErrorMessage(res));
	PQclear(res);
}

/* A transaction that is rolled back, with rows in the outbox: committed ones would be sent. */
static void
begin(void)
{
	int i;

	must_run(sql("BEGIN"));
	for (i = 0; i < HOUSE_TENANTS; i++)
		must_run(sql("INSERT INTO outbox (tenant_id, event_id, subject, envelope) "
			     "VALUES ('%s', 'evt_probe', 'probe', '{}')",
		    house_tenant(i)));
}

/* Becomes a role of the host inside a transaction, with what the host would have set. */
static void
become(const char *role, const char *tenant)
{
	begin();
	must_run(sql("SET LOCAL ROLE %s", role));
	must_run(sql("SELECT set_config('app.current_tenant_id', '%s', true), "
		     "set_config('app.tenants', '%s%s%s', true)",
	    tenant, *tenant ? "{" : "", tenant, *tenant ? "}" : ""));
}

static void
unbecome(void)
{
	must_run(sql("ROLLBACK"));
}

/* Tables and partitioned tables with a tenant_id, all schemas. */
static PGresult *
tables(void)
{
	PGresult *res = sql(
	    "SELECT c.oid::regclass::text, c.relrowsecurity AND c.relforcerowsecurity"
	    " FROM pg_class c JOIN pg_namespace s ON s.oid = c.relnamespace"
	    " JOIN pg_attribute a ON a.attrelid = c.oid"
	    " WHERE c.relkind IN ('r', 'p') AND a.attname = 'tenant_id' AND NOT a.attisdropped"
	    " AND s.nspname NOT IN ('pg_catalog', 'information_schema') ORDER BY 1");

	ck_assert_int_eq(PQresultStatus(res), PGRES_TUPLES_OK);
	ck_assert_int_gt(PQntuples(res), 0);
	return res;
}

static void
connect_pg(void)
{
	const char *keys[] = { "dbname", "user", NULL };
	const char *values[] = { servers_pg_url(), "postgres", NULL };

	pg = PQconnectdbParams(keys, values, 1);
	ck_assert_msg(PQstatus(pg) == CONNECTION_OK, "%s", PQerrorMessage(pg));
}

/* ---------------------------------------------------------------- table tests */

START_TEST(every_table_of_tenants_has_forced_row_security)
{
	PGresult *t = tables();
	int i;

	for (i = 0; i < PQntuples(t); i++)
		ck_assert_msg(PQgetvalue(t, i, 1)[0] == 't', "%s has none", PQgetvalue(t, i, 0));
	PQclear(t);
}
END_TEST

START_TEST(the_probe_has_something_to_find)
{
	static const char *const filled[] = { "agent_runs", "api_keys", "chunks",
		"assistant_versions", "assistants", "store_items", "threads", "document_parts",
		"documents", "ingest_jobs", "knowledge_state", "outbox", "run_events", "tenants",
		"uploads", "usage_events", "usage_keys", "usage_rollups", "users" };
	size_t i;
	int tenant;

	begin();
	for (i = 0; i < NELEM(filled); i++)
		for (tenant = 0; tenant < 1 + (i < 3); tenant++)
			ck_assert_msg(number(sql("SELECT count(*) FROM %s WHERE tenant_id = '%s'",
					  filled[i], house_tenant(tenant))) > 0,
			    "%s is empty", filled[i]);
	unbecome();
}
END_TEST

/* The roles of a request: one tenant at a time, or none. */
START_TEST(no_row_of_another_tenant_can_be_seen_or_changed)
{
	static const char *const roles[] = { "insula_app", "insula_engine" };
	const char *table, *role;
	PGresult *t = tables();
	long long n;
	size_t k;
	int i;

	for (i = 0; i < PQntuples(t); i++)
		for (k = 0; k < NELEM(roles); k++) {
			table = PQgetvalue(t, i, 0);
			role = roles[k];
			/* the engine hands out work fairly and reads the ids of all tenants, no
			 * more */
			if (k == 1 && strcmp(table, "tenants") == 0)
				continue;
			become(role, house_tenant(1));
			n = number(sql("SELECT count(*) FROM %s WHERE tenant_id = '%s'", table,
			    house_tenant(0)));
			ck_assert_msg(n <= 0, "%s sees %lld foreign rows of %s", role, n, table);
			unbecome();
			become(role, "");
			n = number(sql("SELECT count(*) FROM %s", table));
			ck_assert_msg(
			    n <= 0, "%s without a tenant sees %lld rows of %s", role, n, table);
			unbecome();
			become(role, house_tenant(1));
			n = number(sql("UPDATE %s SET tenant_id = tenant_id WHERE tenant_id = '%s'",
			    table, house_tenant(0)));
			ck_assert_msg(n <= 0, "%s changes foreign rows of %s", role, table);
			unbecome();
			become(role, house_tenant(1));
			n = number(
			    sql("DELETE FROM %s WHERE tenant_id = '%s'", table, house_tenant(0)));
			ck_assert_msg(n <= 0, "%s deletes foreign rows of %s", role, table);
			unbecome();
			become(role, house_tenant(1));
			n = number(sql("UPDATE %s SET tenant_id = '%s'", table, house_tenant(0)));
			ck_assert_msg(n <= 0, "%s gives rows of %s away", role, table);
			unbecome();
		}
	PQclear(t);
}
END_TEST

START_TEST(the_engine_knows_of_other_tenants_only_that_they_are_there)
{
	become("insula_engine", house_tenant(1));
	ck_assert_int_eq(number(sql("SELECT count(tenant_id) FROM tenants")), HOUSE_TENANTS);
	ck_assert_int_eq(number(sql("SELECT name FROM tenants")), -1);
	unbecome();
}
END_TEST

/* ---------------------------------------------------------------- routes */

/* A parameter, by the part of the path before it, and the first tenant's value of it. */
static const struct param {
	const char *before, *value;
} params[] = {
	{ "/v1/documents/", document_id },
	{ "/jobs/", job_id },
	{ "/v1/uploads/", upload_id },
	{ "/v1/runs/", run_id },
	{ "/threads/", thread_id },
	{ "/assistants/", assistant_id },
	{ "/state/", checkpoint_id },
	{ "/subgraphs/", NULL },
	{ "/runs/", thread_run_id },
	{ "/runs/crons/", thread_run_id }, /* there are none, whatever the id */
	{ "/parts/", NULL },               /* no id: a number */
	{ "/v1/hello/", NULL },
	{ "/rooms/", NULL }, /* a name inside the tenant */
	{ "/v1/models/", NULL },
};

/* Fills a pattern's parameters: with the first tenant's ids, or with ids of nobody. 1 if there was
 * one. */
static int
fill(const char *pattern, int nobody, char path[256])
{
	const char *at = pattern, *value;
	size_t n = 0, i, before;
	int ids = 0;

	while (*at != '\0') {
		if (*at != '{') {
			path[n++] = *at++;
			path[n] = '\0';
			continue;
		}
		for (i = 0; i < NELEM(params); i++) {
			before = strlen(params[i].before);
			if (n >= before && strcmp(path + n - before, params[i].before) == 0)
				break;
		}
		ck_assert_msg(i < NELEM(params),
		    "%s: what is this parameter? Say it in the table `params`", pattern);
		value = params[i].value;
		ids += value != NULL;
		n += (size_t)sprintf(path + n, "%s", value == NULL ? "1" : nobody ? NOBODY : value);
		at = strchr(at, '}') + 1;
	}
	return ids;
}

/* A body that is good enough to get as far as the look-up. */
static const char *
body_for(const char *method, const char *pattern)
{
	if (strcmp(method, "PUT") == 0)
		return "0123456789";
	if (strcmp(method, "PATCH") == 0 && strcmp(pattern, "/threads/{id}/state") == 0)
		return "{\"metadata\": {}}";
	if (strcmp(method, "POST") != 0)
		return NULL;
	if (strcmp(pattern, "/retrieval") == 0)
		return "{\"knowledge_id\":\"default\",\"query\":\"" SECRET " red box\"}";
	if (strcmp(pattern, "/v1/chat/completions") == 0)
		return "{\"model\":\"faq_workflow\",\"messages\":[{\"role\":\"user\","
		       "\"content\":\"Where is the " SECRET " kept?\"}]}";
	if (strcmp(pattern, "/v1/runs") == 0)
		return "{\"workflow\":\"faq_workflow\",\"input\":{\"question\":\"Where is the "
		       "box?\"}}";
	if (strcmp(pattern, "/v1/documents") == 0)
		return "{\"title\":\"T\",\"content\":\"of the second\"}";
	if (strcmp(pattern, "/v1/uploads") == 0)
		return "{\"filename\":\"y.txt\",\"media_type\":\"text/plain\",\"bytes\":10}";
	if (strcmp(pattern, "/threads/{id}/runs") == 0 ||
	    strncmp(pattern, "/threads/{id}/runs/", 19) == 0)
		return "{\"assistant_id\":\"faq_workflow\"}";
	if (strcmp(pattern, "/assistants/{id}/latest") == 0)
		return "{\"version\":1}";
	if (strcmp(pattern, "/v1/runs/{id}/signals") == 0)
		return "{\"name\":\"approved\"}";
	return "{}";
}

static const struct reply *
call(struct client *c, const char *method, const char *path, const char *pattern)
{
	const char *body = body_for(method, pattern);

	return client_call(c, method, path,
	    strcmp(method, "PUT") == 0 ? "application/octet-stream" : NULL, body,
	    body == NULL ? 0 : strlen(body));
}

/* Nothing of the first tenant's may be in there, but for what the caller itself said. */
static void
says_nothing(const struct reply *r, const char *method, const char *path, int said_secret)
{
	const char *const things[] = { document_id, job_id, upload_id, run_id, chunk_id, "red box",
		house_tenant(0), thread_id, assistant_id, thread_run_id };
	size_t i;

	for (i = 0; i < NELEM(things); i++)
		ck_assert_msg(strstr(path, things[i]) != NULL || strstr(r->body, things[i]) == NULL,
		    "%s %s tells %s: %s", method, path, things[i], r->body);
	if (!said_secret)
		ck_assert_msg(strstr(r->body, SECRET) == NULL, "%s %s: %s", method, path, r->body);
}

static json_t *
routes(void)
{
	json_t *list = house_admin("/routes");

	ck_assert_msg(json_array_size(list) > 0, "the admin socket tells no routes");
	return list;
}

static const char *
get(const json_t *o, const char *name)
{
	return json_string_value(json_object_get(o, name));
}

/* What the first tenant has, as one number each: unchanged by whatever the second one tries. */
static void
inventory(char out[256])
{
	const char *t = house_tenant(0);

	snprintf(out, 256, "%s",
	    servers_sql_super(
		"SELECT concat_ws(' ', (SELECT count(*) FROM documents WHERE tenant_id = '%s' AND "
		"deleted_at IS NULL), (SELECT count(*) FROM chunks WHERE tenant_id = '%s'), "
		"(SELECT "
		"count(*) FROM uploads WHERE tenant_id = '%s'), (SELECT count(*) FROM "
		"document_parts "
		"WHERE tenant_id = '%s'), (SELECT string_agg(status, ',') FROM agent_runs WHERE "
		"tenant_id = '%s'), (SELECT count(*) FROM run_events WHERE tenant_id = '%s'))",
		t, t, t, t, t, t));
}

START_TEST(no_route_gives_or_takes_what_is_another_tenants)
{
	char path[256], nobody[256], before[256], after[256], mine[512];
	const char *method, *pattern;
	const struct reply *r;
	json_t *list = routes(), *route;
	size_t i, with_ids = 0;
	int ids, status, said;

	inventory(before);
	json_array_foreach(list, i, route)
	{
		method = get(route, "method");
		pattern = get(route, "pattern");
		ids = fill(pattern, 0, path);
		fill(pattern, 1, nobody);
		said = strstr(body_for(method, pattern) == NULL ? "" : body_for(method, pattern),
			   SECRET) != NULL;
		r = call(second, method, path, pattern);
		status = r->status;
		says_nothing(r, method, path, said);
		if (ids == 0) {
			ck_assert_msg(status > 0 && status < 500, "%s %s: %d %s", method, path,
			    status, r->body);
			continue;
		}
		with_ids++;
		ck_assert_msg(
		    status == 404, "%s %s: %d %s, not 404", method, path, status, r->body);
		snprintf(mine, sizeof mine, "%s", r->body);
		r = call(second, method, nobody, pattern);
		ck_assert_msg(r->status == 404 && strcmp(r->body, mine) == 0,
		    "%s %s: an id of another tenant's reads %s, one of nobody's %s", method,
		    pattern, mine, r->body);
	}
	ck_assert_uint_gt(with_ids, 5);
	json_decref(list);
	inventory(after);
	ck_assert_str_eq(after, before);
	/* and they were there all the time */
	fill("/v1/documents/{id}/text", 0, path);
	r = client_get(first, path);
	ck_assert_int_eq(r->status, 200);
	ck_assert_ptr_nonnull(strstr(r->body, "red box"));
	fill("/v1/runs/{id}", 0, path);
	ck_assert_int_eq(client_get(first, path)->status, 200);
}
END_TEST

START_TEST(every_route_asks_who_is_calling)
{
	const char *method, *pattern;
	const struct reply *r;
	json_t *list = routes(), *route;
	char path[256];
	size_t i;

	client_key(second, NULL);
	json_array_foreach(list, i, route)
	{
		method = get(route, "method");
		pattern = get(route, "pattern");
		if (strcmp(get(route, "permission"), "public") == 0)
			continue;
		fill(pattern, 0, path);
		r = call(second, method, path, pattern);
		ck_assert_msg(r->status == 401, "%s %s: %d", method, path, r->status);
		ck_assert_str_eq(reply_header(r, "www-authenticate"), "Bearer");
	}
	json_decref(list);
}
END_TEST

START_TEST(every_route_asks_for_its_permission)
{
	const char *method, *pattern;
	const struct reply *r;
	json_t *list = routes(), *route;
	char path[256], *key = house_key_with(1, "nothing:read");
	size_t i;

	client_key(second, key);
	free(key);
	json_array_foreach(list, i, route)
	{
		method = get(route, "method");
		pattern = get(route, "pattern");
		if (strcmp(get(route, "permission"), "public") == 0)
			continue;
		fill(pattern, 0, path);
		r = call(second, method, path, pattern);
		ck_assert_msg(r->status == 403, "%s %s: %d", method, path, r->status);
		says_nothing(r, method, path, 0);
	}
	json_decref(list);
}
END_TEST

static void
setup(void)
{
	first = house_client(0);
	second = house_client(1);
	connect_pg();
}

static void
teardown(void)
{
	client_free(first);
	client_free(second);
	PQfinish(pg);
}

int
main(void)
{
	Suite *suite = suite_create("tenancy");
	TCase *t = tcase_create("tenancy");
	SRunner *runner;
	int failed;

	house_start(plugins, NULL, SERVERS_PG | SERVERS_NATS);
	first = house_client(0);
	second = house_client(1);
	furnish();
	client_free(first);
	client_free(second);
	tcase_set_timeout(t, 120);
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, every_table_of_tenants_has_forced_row_security);
	tcase_add_test(t, the_probe_has_something_to_find);
	tcase_add_test(t, no_row_of_another_tenant_can_be_seen_or_changed);
	tcase_add_test(t, the_engine_knows_of_other_tenants_only_that_they_are_there);
	tcase_add_test(t, no_route_gives_or_takes_what_is_another_tenants);
	tcase_add_test(t, every_route_asks_who_is_calling);
	tcase_add_test(t, every_route_asks_for_its_permission);
	suite_add_tcase(suite, t);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	house_stop();
	return failed != 0;
}
