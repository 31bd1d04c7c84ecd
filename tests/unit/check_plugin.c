/* check_plugin.c: what decides about plugins and callers without a host: the ABI's refusals, the
 * resolution of services, permissions, request ids and trace context. */
#include <elf.h>
#include <stdlib.h>
#include <string.h>

#include "plugin/abi.h"
#include "plugin/request.h"
#include "plugin/svc.h"
#include "plugin/trace.h"

#include <check.h> /* last: its macro `fail` is a name of ours */

static char err[256];

/* ---- ABI ---- */

static size_t
elf(char *p, const char *note)
{
	Elf64_Ehdr *eh = (void *)p;

	memset(p, 0, 512);
	memcpy(eh->e_ident, ELFMAG, SELFMAG);
	eh->e_ident[EI_CLASS] = ELFCLASS64;
	eh->e_type = ET_DYN;
	strcpy(p + 100, note);
	return 100 + strlen(note);
}

START_TEST(the_note_decides_before_anything_is_mapped)
{
	_Alignas(8) char p[512];

	ck_assert_int_eq(abi_note(p, elf(p, "INSULA-PLUGIN abi=1.0;"), err), 0);
	ck_assert_int_eq(abi_note(p, elf(p, "INSULA-PLUGIN abi=1u.0u;"), err), 0);
	ck_assert_int_ne(abi_note(p, elf(p, "INSULA-PLUGIN abi=2.0;"), err), 0);
	ck_assert_msg(strstr(err, "abi_major is 2") != NULL, "%s", err);
	ck_assert_int_ne(abi_note(p, elf(p, "INSULA-PLUGIN abi=1.99;"), err), 0);
	ck_assert_msg(strstr(err, "abi_minor is 99") != NULL, "%s", err);
	ck_assert_int_ne(abi_note(p, elf(p, "INSULA-PLUGIN abi="), err), 0);
	ck_assert_msg(strstr(err, "malformed") != NULL, "%s", err);
	ck_assert_int_ne(abi_note(p, elf(p, ""), err), 0);
	ck_assert_msg(strstr(err, "no INS_PLUGIN note") != NULL, "%s", err);
	ck_assert_int_ne(abi_note("text", 4, err), 0);
	ck_assert_msg(strstr(err, "no ELF header") != NULL, "%s", err);
}
END_TEST

static int
some_init(ins_host *host, const void *conf, void **ret_self)
{
	return 0;
}

START_TEST(the_differing_field_of_a_descriptor_is_named)
{
	const ins_plugin good = { .magic = INS_MAGIC,
		.abi_major = INS_ABI_MAJOR,
		.abi_minor = INS_ABI_MINOR,
		.size = sizeof good,
		.name = "x",
		.version = "1",
		.summary = "s",
		.init = some_init };
	ins_plugin d = good, copy;

	ck_assert_int_eq(abi_descriptor(&d, &copy, err), 0);
	ck_assert_str_eq(copy.name, "x");
	ck_assert_int_ne(abi_descriptor(NULL, &copy, err), 0);
	d.magic = 7;
	ck_assert_int_ne(abi_descriptor(&d, &copy, err), 0);
	ck_assert_msg(strncmp(err, "magic is", 8) == 0, "%s", err);
	d = good;
	d.abi_major = 3;
	ck_assert_int_ne(abi_descriptor(&d, &copy, err), 0);
	ck_assert_msg(strncmp(err, "abi_major is 3", 14) == 0, "%s", err);
	d = good;
	d.abi_minor = 9;
	ck_assert_int_ne(abi_descriptor(&d, &copy, err), 0);
	ck_assert_msg(strncmp(err, "abi_minor is 9", 14) == 0, "%s", err);
	d = good;
	d.size -= 8;
	ck_assert_int_ne(abi_descriptor(&d, &copy, err), 0);
	ck_assert_msg(strncmp(err, "size is", 7) == 0, "%s", err);
	d = good;
	d.init = NULL;
	ck_assert_int_ne(abi_descriptor(&d, &copy, err), 0);
	ck_assert_str_eq(err, "init is NULL");
	d = good;
	d.version = NULL;
	ck_assert_int_ne(abi_descriptor(&d, &copy, err), 0);
	ck_assert_str_eq(err, "version is NULL");
}
END_TEST

/* ---- services ---- */

static struct arena arena;
static size_t order[8], who;

static const int thing = 1;
static const struct svc_offer model_a = { NULL, "m/1", "a", &thing };
static const struct svc_offer model_b = { NULL, "m/1", "b", &thing };
static const struct svc_offer index_x = { NULL, "r/1", "x", &thing };
static const struct svc_offer index_y = { NULL, "r/1", "y", &thing };
static const ins_need one_model[] = { { "m/1", INS_ONE }, { NULL, 0 } };
static const ins_need many_models[] = { { "m/1", INS_MANY }, { NULL, 0 } };
static const ins_need maybe_models[] = { { "m/1", INS_MANY | INS_OPTIONAL },
	{ "r/1", INS_OPTIONAL }, { NULL, 0 } };
static const ins_need one_index[] = { { "r/1", INS_ONE }, { NULL, 0 } };

static void
setup(void)
{
	arena_init(&arena, 1 << 20);
}

static void
teardown(void)
{
	arena_fini(&arena);
}

START_TEST(providers_come_before_those_that_need_them)
{
	struct svc_party p[] = { { .name = "flow", .needs = one_index },
		{ .name = "index", .needs = many_models, .offers = &index_x },
		{ .name = "a", .offers = &model_a }, { .name = "b", .offers = &model_b } };

	ck_assert_msg(svc_resolve(p, 4, &arena, order, &who, err) == 0, "%s", err);
	ck_assert_uint_eq(order[0], 2);
	ck_assert_uint_eq(order[1], 3);
	ck_assert_uint_eq(order[2], 1);
	ck_assert_uint_eq(order[3], 0);
	ck_assert_uint_eq(p[1].slots[0].n, 2);
	ck_assert_str_eq(p[1].slots[0].offers[0]->name, "a");
	ck_assert_str_eq(p[1].slots[0].offers[1]->name, "b");
}
END_TEST

START_TEST(a_missing_provider_is_named)
{
	struct svc_party p[] = { { .name = "flow", .needs = one_model } };

	ck_assert_int_ne(svc_resolve(p, 1, &arena, order, &who, err), 0);
	ck_assert_str_eq(err, "flow needs m/1 and no enabled plugin provides it");
}
END_TEST

START_TEST(one_of_two_is_refused)
{
	struct svc_party p[] = { { .name = "a", .offers = &model_a },
		{ .name = "b", .offers = &model_b }, { .name = "flow", .needs = one_model } };

	ck_assert_int_ne(svc_resolve(p, 3, &arena, order, &who, err), 0);
	ck_assert_uint_eq(who, 2);
	ck_assert_str_eq(err, "flow needs one m/1 and there are two: of a and of b");
}
END_TEST

START_TEST(the_same_name_twice_is_refused)
{
	struct svc_party p[] = { { .name = "a", .offers = &model_a },
		{ .name = "b", .offers = &model_a } };

	ck_assert_int_ne(svc_resolve(p, 2, &arena, order, &who, err), 0);
	ck_assert_str_eq(err, "m/1 \"a\" is provided by a and by b");
}
END_TEST

START_TEST(a_circle_is_named_whole)
{
	struct svc_party p[] = { { .name = "a", .needs = one_index, .offers = &model_a },
		{ .name = "x", .needs = one_model, .offers = &index_x } };

	ck_assert_int_ne(svc_resolve(p, 2, &arena, order, &who, err), 0);
	ck_assert_str_eq(err, "services in a circle: a needs x needs a");
}
END_TEST

START_TEST(optional_needs_may_stay_empty_and_own_offers_do_not_count)
{
	struct svc_party p[] = { { .name = "a", .needs = maybe_models, .offers = &model_a },
		{ .name = "y", .offers = &index_y } };

	ck_assert_msg(svc_resolve(p, 2, &arena, order, &who, err) == 0, "%s", err);
	ck_assert_uint_eq(p[0].slots[0].n, 0);
	ck_assert_uint_eq(p[0].slots[1].n, 1);
	ck_assert_uint_eq(order[0], 1);
}
END_TEST

/* ---- permissions ---- */

START_TEST(permissions_match_whole_words_and_areas)
{
	ck_assert_int_eq(request_permitted("*", "documents:write"), 1);
	ck_assert_int_eq(request_permitted("a:b documents:*", "documents:write"), 1);
	ck_assert_int_eq(request_permitted("documents:write", "documents:write"), 1);
	ck_assert_int_eq(request_permitted(" documents:write  x:y ", "x:y"), 1);
	ck_assert_int_eq(request_permitted("", "documents:write"), 0);
	ck_assert_int_eq(request_permitted("documents:read", "documents:write"), 0);
	ck_assert_int_eq(request_permitted("documents:writer", "documents:write"), 0);
	ck_assert_int_eq(request_permitted("documents", "documents:write"), 0);
	ck_assert_int_eq(request_permitted("doc:*", "documents:write"), 0);
	ck_assert_int_eq(request_permitted("documents:", "documents:write"), 0);
	ck_assert_int_eq(request_permitted("*:write", "documents:write"), 0);
	ck_assert_int_eq(request_permitted("documents:*", "documents"), 0);
	ck_assert_int_eq(request_permitted("   ", ""), 0);
}
END_TEST

/* ---- ids ---- */

#define TRACE "0af7651916cd43dd8448eb211c80319c"
#define PARENT "00-" TRACE "-b7ad6b7169203331-01"

static const struct {
	const char *header;
	int valid;
} parents[] = {
	{ PARENT, 1 },
	{ "00-" TRACE "-b7ad6b7169203331-00", 1 },
	{ "cc-" TRACE "-b7ad6b7169203331-01", 1 },
	{ "cc-" TRACE "-b7ad6b7169203331-01-what-comes-later", 1 },
	{ "cc-" TRACE "-b7ad6b7169203331-01.no", 0 },
	{ PARENT "-x", 0 },
	{ "ff-" TRACE "-b7ad6b7169203331-01", 0 },
	{ "00-00000000000000000000000000000000-b7ad6b7169203331-01", 0 },
	{ "00-" TRACE "-0000000000000000-01", 0 },
	{ "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01", 0 },
	{ "00-" TRACE "_b7ad6b7169203331-01", 0 },
	{ "00-" TRACE "-b7ad6b7169203331-0", 0 },
	{ "00-" TRACE "-b7ad6b7169203331-zz", 0 },
	{ "", 0 },
};

START_TEST(traceparent_follows_the_recommendation)
{
	const char *h = parents[_i].header;
	char out[56];

	ck_assert_int_eq(trace_valid(h, strlen(h)), parents[_i].valid);
	trace_make(h, strlen(h), out);
	ck_assert_int_eq(trace_valid(out, strlen(out)), 1);
	ck_assert_int_eq(memcmp(out + 3, TRACE, 32) == 0, parents[_i].valid);
	ck_assert_int_ne(memcmp(out + 36, "b7ad6b7169203331", 16), 0);
}
END_TEST

START_TEST(a_sane_request_id_is_echoed_and_another_replaced)
{
	char long_one[66], id[65];

	memset(long_one, 'a', 65);
	long_one[65] = '\0';
	trace_request_id("job-7:retry.2_b", 15, id);
	ck_assert_str_eq(id, "job-7:retry.2_b");
	trace_request_id(long_one, 64, id);
	ck_assert_uint_eq(strlen(id), 64);
	trace_request_id(long_one, 65, id);
	ck_assert_int_eq(strncmp(id, "req_", 4), 0);
	trace_request_id("a b", 3, id);
	ck_assert_int_eq(strncmp(id, "req_", 4), 0);
	trace_request_id("a\0b", 3, id);
	ck_assert_int_eq(strncmp(id, "req_", 4), 0);
	trace_request_id(NULL, 0, id);
	ck_assert_uint_eq(strlen(id), 36);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("plugin");
	TCase *t = tcase_create("plugin");
	SRunner *r;
	int failed;

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, the_note_decides_before_anything_is_mapped);
	tcase_add_test(t, the_differing_field_of_a_descriptor_is_named);
	tcase_add_test(t, providers_come_before_those_that_need_them);
	tcase_add_test(t, a_missing_provider_is_named);
	tcase_add_test(t, one_of_two_is_refused);
	tcase_add_test(t, the_same_name_twice_is_refused);
	tcase_add_test(t, a_circle_is_named_whole);
	tcase_add_test(t, optional_needs_may_stay_empty_and_own_offers_do_not_count);
	tcase_add_test(t, permissions_match_whole_words_and_areas);
	tcase_add_loop_test(t, traceparent_follows_the_recommendation, 0, NELEM(parents));
	tcase_add_test(t, a_sane_request_id_is_echoed_and_another_replaced);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed != 0;
}
