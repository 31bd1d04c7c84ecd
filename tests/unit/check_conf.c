/* check_conf.c: what a configuration may hold, and that every error names file, line and key. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "net/tls.h"
#include "plugin/conf.h"

#include <check.h> /* last: its macro `fail` is a name of ours */

static char err[CONF_ERR_MAX];

static struct conf *
conf_of(const char *yaml)
{
	struct conf_doc doc;

	err[0] = '\0';
	if (conf_doc_parse(&doc, "t.yaml", yaml, strlen(yaml), err) != 0)
		return NULL;
	return conf_new(&doc, err);
}

static const struct {
	const char *yaml, *err;
} bad[] = {
	{ "loops: two", "t.yaml:1: loops: must be a whole number" },
	{ "log:\n  level: loud", "t.yaml:2: log.level: must be debug, info, warn or error" },
	{ "listen:\n  - address: a:1\n  - adress: b:2",
	    "t.yaml:3: listen[1].adress: there is no such key; did you mean address?" },
	{ "listen:\n  - tls: {}", "t.yaml:2: listen[0].address: is missing" },
	{ "limts: {}", "t.yaml:1: limts: there is no such key; did you mean limits?" },
	{ "zebra: 1", "t.yaml:1: zebra: there is no such key here" },
	{ "limits:\n  body: 4mb", "t.yaml:2: limits.body: must be a size" },
	{ "limits:\n  body: 1g", "t.yaml:2: limits.body: must be 1k .. 32m" },
	{ "limits: {request: 5}", "t.yaml:1: limits.request: must be a duration" },
	{ "limits: {request: -5s}", "t.yaml:1: limits.request: must be a duration" },
	{ "data:\n  pg:\n    url: mysql://x",
	    "t.yaml:3: data.pg.url: must begin with postgresql://" },
	{ "plugins: {Hello: {}}", "t.yaml:1: plugins.Hello: a plugin's name has" },
	{ "plugins:\n  a:\n    caps: [http,\n      htp]",
	    "t.yaml:4: plugins.a.caps[1]: there is no such capability; did you mean http; there "
	    "are" },
	{ "plugins: [a]", "t.yaml:1: plugins: must be a map of names" },
	{ "loops: 1\nlog: {}\nloops: 2", "t.yaml:3: loops: the key stands here a second time" },
	{ "a: &x 1\nb: *x", "t.yaml:1: a: anchors (&name) are not allowed" },
	{ "log: *x", "t.yaml:1" },
	{ "log: !!map {}", "t.yaml:1: log: tags (!name) are not allowed" },
	{ "{? [a] : b}", "t.yaml:1: a key must be plain text" },
	{ "loops: 1\n---\nloops: 2", "t.yaml:2: a second document" },
	{ "- a", "t.yaml:1: must be a map" },
	{ "loops: [1", "t.yaml:2: loops: not valid YAML" },
	{ "loops: ${INS_TEST_NONE}",
	    "t.yaml:1: loops: environment variable INS_TEST_NONE is not set" },
	{ "loops: ${INS TEST}", "t.yaml:1: loops: an environment reference is" },
	{ "state_dir: ${X", "t.yaml:1: state_dir: ${ without }" },
	{ "loops: ${INS_TEST_WORD}", "t.yaml:1: loops: must be a whole number" },
	{ "state_dir: 12", "t.yaml:1: state_dir: must be text" },
	{ "metrics: some", "t.yaml:1: metrics: must be public or admin" },
	{ "plugin_path: /usr", "t.yaml:1: plugin_path: must be a list" },
	{ "access_log: yes", "t.yaml:1: access_log: must be true or false" },
	{ "state_dir: \"a\\0b\"", "t.yaml:1: state_dir: a NUL byte" },
};

START_TEST(a_bad_key_is_refused_with_file_line_and_key)
{
	struct conf *c;

	setenv("INS_TEST_WORD", "word", 1);
	unsetenv("INS_TEST_NONE");
	c = conf_of(bad[_i].yaml);
	ck_assert_msg(c == NULL, "accepted: %s", bad[_i].yaml);
	ck_assert_msg(
	    strncmp(err, bad[_i].err, strlen(bad[_i].err)) == 0, "%s: %s", bad[_i].yaml, err);
}
END_TEST

START_TEST(nesting_and_size_are_bounded)
{
	char *z = malloc(CONF_FILE_MAX + 2);
	struct conf_doc doc;

	memset(z, '[', 40);
	z[40] = '\0';
	ck_assert_ptr_null(conf_of(z));
	ck_assert_msg(strstr(err, "nested deeper") != NULL, "%s", err);
	memset(z, '#', CONF_FILE_MAX + 1);
	ck_assert_int_ne(conf_doc_parse(&doc, "t.yaml", z, CONF_FILE_MAX + 1, err), 0);
	ck_assert_msg(strstr(err, "larger than") != NULL, "%s", err);
	free(z);
}
END_TEST

START_TEST(defaults_are_filled_in)
{
	struct conf *c = conf_of("");

	ck_assert_msg(c != NULL, "%s", err);
	ck_assert_int_ge(c->loops, 1);
	ck_assert_int_eq(c->body_max, 4 << 20);
	ck_assert_int_eq(c->request_ms, 120000);
	ck_assert_int_eq(c->drain_ms, 30000);
	ck_assert_int_eq(c->metrics_public, 1);
	ck_assert_uint_eq(c->n_listen, 0);
	ck_assert_ptr_null(c->pg_url);
	ck_assert_str_eq(c->plugin_path[0], PLUGINDIR);
	conf_unref(c);
}
END_TEST

START_TEST(values_of_the_file_are_read)
{
	struct conf *c = conf_of("listen: [{address: 'a:1', tls: {certificate: c, key: k}}]\n"
				 "loops: 0x2\n"
				 "limits: {body: 64k, request: 2m, connection: 1m}\n"
				 "plugins:\n"
				 "  one:\n"
				 "  two: {required: false, caps: [http, db], config: {a: 1}}\n");

	ck_assert_msg(c != NULL, "%s", err);
	ck_assert_int_eq(c->loops, 2);
	ck_assert_int_eq(c->body_max, 65536);
	ck_assert_int_eq(c->request_ms, 120000);
	ck_assert_str_eq(c->listen[0].tls->certs[0].certificate, "c");
	ck_assert_uint_eq(c->n_plugins, 2);
	ck_assert_int_eq(c->plugins[0].required, 1);
	ck_assert(c->plugins[0].caps == UINT64_MAX);
	ck_assert_int_eq(c->plugins[1].required, 0);
	ck_assert(c->plugins[1].caps == (INS_CAP_HTTP | INS_CAP_DB));
	ck_assert_str_ne(c->plugins[0].hash, c->plugins[1].hash);
	conf_unref(c);
}
END_TEST

START_TEST(norway_keeps_its_country_code)
{
	static const char yaml[] =
	    "a: no\nb: on\nc: 010\nd: 1.5\ne: true\nf: ~\ng: 1e3\nh: .\ni: 1.2.3\n"
	    "j: '5'\nk: -7\nl: 12:30";
	struct conf_doc doc;
	json_t *r;

	ck_assert_int_eq(conf_doc_parse(&doc, "t.yaml", yaml, strlen(yaml), err), 0);
	r = doc.root;
	ck_assert_str_eq(json_string_value(json_object_get(r, "a")), "no");
	ck_assert_str_eq(json_string_value(json_object_get(r, "b")), "on");
	ck_assert_int_eq(json_integer_value(json_object_get(r, "c")), 10);
	ck_assert(json_real_value(json_object_get(r, "d")) == 1.5);
	ck_assert(json_is_true(json_object_get(r, "e")));
	ck_assert(json_is_null(json_object_get(r, "f")));
	ck_assert(json_real_value(json_object_get(r, "g")) == 1000.0);
	ck_assert_str_eq(json_string_value(json_object_get(r, "h")), ".");
	ck_assert_str_eq(json_string_value(json_object_get(r, "i")), "1.2.3");
	ck_assert_str_eq(json_string_value(json_object_get(r, "j")), "5");
	ck_assert_int_eq(json_integer_value(json_object_get(r, "k")), -7);
	ck_assert_str_eq(json_string_value(json_object_get(r, "l")), "12:30");
	conf_doc_fini(&doc);
}
END_TEST

START_TEST(the_environment_is_read_once_and_typed_by_its_reader)
{
	struct conf *c;

	setenv("INS_TEST_N", "3", 1);
	setenv("INS_TEST_DIR", "/x/${HOME}", 1);
	setenv("INS_TEST_EMPTY", "", 1);
	c = conf_of("loops: ${INS_TEST_N}\n"
		    "state_dir: ${INS_TEST_DIR}/y\n"
		    "access_log: ${INS_TEST_EMPTY:-false}\n"
		    "limits: {body: '${INS_TEST_NONE:-64k}'}\n"
		    "metrics: ${INS_TEST_NONE:-admin}\n"
		    "plugin_path: ['$${literal}']");
	ck_assert_msg(c != NULL, "%s", err);
	ck_assert_int_eq(c->loops, 3);
	ck_assert_str_eq(c->state_dir, "/x/${HOME}/y");
	ck_assert_int_eq(c->access_log, 0);
	ck_assert_int_eq(c->body_max, 65536);
	ck_assert_int_eq(c->metrics_public, 0);
	ck_assert_str_eq(c->plugin_path[0], "${literal}");
	conf_unref(c);
}
END_TEST

START_TEST(a_second_file_lies_on_top_and_keeps_its_lines)
{
	static const char one[] = "log: {level: info}\nloops: 1";
	static const char two[] = "\n\nlog:\n  format: blue";
	struct conf_doc a, b;

	ck_assert_int_eq(conf_doc_parse(&a, "one.yaml", one, strlen(one), err), 0);
	ck_assert_int_eq(conf_doc_parse(&b, "two.yaml", two, strlen(two), err), 0);
	conf_doc_merge(&a, &b);
	ck_assert_str_eq(
	    json_string_value(json_object_get(json_object_get(a.root, "log"), "level")), "info");
	ck_assert_ptr_null(conf_new(&a, err));
	ck_assert_str_eq(err, "two.yaml:4: log.format: must be json or text");
}
END_TEST

struct opts {
	const char *s;
	int64_t i, ms, size;
	double n;
	int32_t b;
	const json_t *j;
};
static const ins_option table[] = {
	INS_OPT_STR(struct opts, s, NULL, "a text"),
	INS_OPT_INT(struct opts, i, "-4", "a number"),
	INS_OPT_MS(struct opts, ms, "1h", "a time"),
	INS_OPT_SIZE(struct opts, size, "1g", "a size"),
	INS_OPT_NUM(struct opts, n, "0.5", "a number"),
	INS_OPT_BOOL(struct opts, b, "true", "a switch"),
	INS_OPT_JSON(struct opts, j, "anything"),
	INS_OPT_END(struct opts),
};

START_TEST(an_option_table_fills_a_struct)
{
	static const char yaml[] = "o: {s: x, n: 2, size: 10, ms: 0, j: [1, 2]}";
	struct conf_doc doc;
	struct arena arena;
	struct opts *o;

	arena_init(&arena, 1 << 16);
	ck_assert_int_eq(conf_doc_parse(&doc, "t.yaml", yaml, strlen(yaml), err), 0);
	ck_assert_int_eq(conf_options(&doc, "o", json_object_get(doc.root, "o"), table, &arena,
			     (void **)&o, err),
	    0);
	ck_assert_str_eq(o->s, "x");
	ck_assert_int_eq(o->i, -4);
	ck_assert_int_eq(o->ms, 0);
	ck_assert_int_eq(o->size, 10);
	ck_assert(o->n == 2.0);
	ck_assert_int_eq(o->b, 1);
	ck_assert_uint_eq(json_array_size(o->j), 2);
	ck_assert_int_ne(conf_options(&doc, "o", NULL, table, &arena, (void **)&o, err), 0);
	ck_assert_msg(strstr(err, "o.s: is missing: a text") != NULL, "%s", err);
	conf_doc_fini(&doc);
	arena_fini(&arena);
}
END_TEST

struct peer {
	const char *name;
	double rate;
};
struct rich {
	int32_t format;
	double rate;
	const char *secret;
	ins_list words, peers;
	struct peer main;
	int64_t n, ms, size;
};
static const ins_option peer_table[] = {
	INS_OPT_STR(struct peer, name, NULL, "a name"),
	INS_OPT_RATE_IN(struct peer, rate, "1/s", 0, 100, "a rate"),
	INS_OPT_END(struct peer),
};
static const ins_option rich_table[] = {
	INS_OPT_ENUM(struct rich, format, "json", "text|json|xml", "a form"),
	INS_OPT_RATE(struct rich, rate, "600/m", "a rate"),
	INS_OPT_SECRET(struct rich, secret, "", "a secret"),
	INS_OPT_LIST_IN(struct rich, words, "a, b", 0, 3, "some words"),
	INS_OPT_OBJECTS(struct rich, peers, 0, 2, peer_table, "peers"),
	INS_OPT_OBJECT(struct rich, main, peer_table, "the main peer"),
	INS_OPT_INT_IN(struct rich, n, "5", 1, 9, "a number"),
	INS_OPT_MS_IN(struct rich, ms, "2s", 1000, 3600000, "a time"),
	INS_OPT_SIZE_IN(struct rich, size, "2k", 1024, 1 << 20, "a size"),
	INS_OPT_END(struct rich),
};

static int
read_rich(const char *yaml, struct rich **ret)
{
	static struct conf_doc doc;
	static struct arena arena;
	static int used;

	if (used) {
		conf_doc_fini(&doc);
		arena_fini(&arena);
	}
	used = 1;
	arena_init(&arena, 1 << 20);
	ck_assert_msg(conf_doc_parse(&doc, "t.yaml", yaml, strlen(yaml), err) == 0, "%s", err);
	return conf_options(&doc, "", doc.root, rich_table, &arena, (void **)ret, err);
}

START_TEST(rich_options_have_their_types)
{
	char file[] = "/tmp/insula-secret.XXXXXX", yaml[300];
	struct rich *o;
	int fd = mkstemp(file);

	ck_assert_int_eq(write(fd, "hidden\n", 7), 7);
	close(fd);
	setenv("RICH_SECRET", "of the environment", 1);
	ck_assert_msg(read_rich("main: {name: m}", &o) == 0, "%s", err);
	ck_assert_int_eq(o->format, 1);
	ck_assert(o->rate == 10.0);
	ck_assert_uint_eq(o->words.n, 2);
	ck_assert_str_eq(((const char *const *)o->words.p)[1], "b");
	ck_assert_uint_eq(o->peers.n, 0);
	ck_assert_str_eq(o->main.name, "m");
	ck_assert(o->main.rate == 1.0);
	snprintf(yaml, sizeof yaml,
	    "format: xml\nrate: 0\nsecret: file:%s\nwords: []\nmain: {name: m, rate: 100/s}\n"
	    "peers: [{name: x}, {name: y, rate: 30/m}]",
	    file);
	ck_assert_msg(read_rich(yaml, &o) == 0, "%s", err);
	ck_assert_int_eq(o->format, 2);
	ck_assert(o->rate == 0);
	ck_assert_str_eq(o->secret, "hidden");
	ck_assert_uint_eq(o->words.n, 0);
	ck_assert_uint_eq(o->peers.n, 2);
	ck_assert_str_eq(((const struct peer *)o->peers.p)[1].name, "y");
	ck_assert(((const struct peer *)o->peers.p)[1].rate == 0.5);
	ck_assert_msg(read_rich("secret: ${RICH_SECRET}\nmain: {name: m}", &o) == 0, "%s", err);
	ck_assert_str_eq(o->secret, "of the environment");
	unlink(file);
}
END_TEST

static const struct {
	const char *yaml, *err;
} poor[] = {
	{ "main: {name: m}\nformat: jsn",
	    "t.yaml:2: format: must be one of text|json|xml; did you mean json?" },
	{ "main: {name: m}\nrate: fast",
	    "t.yaml:2: rate: must be a rate, such as 10/s, 600/m, 5/h or 0" },
	{ "main: {name: m}\nrate: -1/s",
	    "t.yaml:2: rate: must be a rate, such as 10/s, 600/m, 5/h or 0" },
	{ "main: {name: m}\nsecret: hunter2",
	    "t.yaml:2: secret: a secret does not stand in the configuration; "
	    "write ${NAME} for one of the environment, or file:/path" },
	{ "main: {name: m}\nsecret: file:/no/such/file",
	    "t.yaml:2: secret: /no/such/file: No such file or directory" },
	{ "main: {name: m}\nwords: [a, b, c, d]", "t.yaml:2: words: must be 0 .. 3 entries" },
	{ "main: {name: m}\nwords: [a, 7]",
	    "t.yaml:2: words[1]: must be text (quote it if it looks like a number or a "
	    "word of YAML)" },
	{ "main: {name: m}\nwords: a", "t.yaml:2: words: must be a list of texts" },
	{ "main: {name: m}\npeers: {}", "t.yaml:2: peers: must be a list of maps" },
	{ "main: {name: m}\npeers:\n  - name: x\n    raet: 1/s",
	    "t.yaml:4: peers[0].raet: there is no such key; did you "
	    "mean rate?" },
	{ "main: {name: m}\npeers: [{name: x}, {}]",
	    "t.yaml:2: peers[1].name: is missing: a name" },
	{ "main: {name: m}\npeers: [{name: x}, {name: x}, {name: x}]",
	    "t.yaml:2: peers: must be 0 .. 2 entries" },
	{ "main: {name: m, rate: 101/s}", "t.yaml:1: main.rate: must be 0 .. 100/s" },
	{ "main: 7", "t.yaml:1: main: must be a map of keys and values" },
	{ "main: {name: m}\nn: 10", "t.yaml:2: n: must be 1 .. 9" },
	{ "main: {name: m}\nms: 999ms", "t.yaml:2: ms: must be 1s .. 1h" },
	{ "main: {name: m}\nsize: 2m", "t.yaml:2: size: must be 1k .. 1m" },
};

START_TEST(a_poor_value_is_refused_by_its_key)
{
	struct rich *o;

	ck_assert_int_eq(read_rich(poor[_i].yaml, &o), -1);
	ck_assert_str_eq(err, poor[_i].err);
}
END_TEST

START_TEST(units_do_not_overflow)
{
	int64_t v;

	ck_assert_int_eq(conf_parse_ms("250ms", &v), 0);
	ck_assert_int_eq(v, 250);
	ck_assert_int_eq(conf_parse_ms("2m", &v), 0);
	ck_assert_int_eq(v, 120000);
	ck_assert_int_ne(conf_parse_ms("5", &v), 0);
	ck_assert_int_ne(conf_parse_ms("5 s", &v), 0);
	ck_assert_int_ne(conf_parse_ms("9223372036854775807h", &v), 0);
	ck_assert_int_ne(conf_parse_size("99999999999999999999", &v), 0);
	ck_assert_int_ne(conf_parse_size("9223372036854775807k", &v), 0);
	ck_assert_int_ne(conf_parse_size("", &v), 0);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("conf");
	TCase *t = tcase_create("conf");
	SRunner *r;
	int failed;

	tcase_add_loop_test(t, a_bad_key_is_refused_with_file_line_and_key, 0, NELEM(bad));
	tcase_add_test(t, nesting_and_size_are_bounded);
	tcase_add_test(t, defaults_are_filled_in);
	tcase_add_test(t, values_of_the_file_are_read);
	tcase_add_test(t, norway_keeps_its_country_code);
	tcase_add_test(t, the_environment_is_read_once_and_typed_by_its_reader);
	tcase_add_test(t, a_second_file_lies_on_top_and_keeps_its_lines);
	tcase_add_test(t, an_option_table_fills_a_struct);
	tcase_add_test(t, rich_options_have_their_types);
	tcase_add_loop_test(t, a_poor_value_is_refused_by_its_key, 0, NELEM(poor));
	tcase_add_test(t, units_do_not_overflow);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed != 0;
}
