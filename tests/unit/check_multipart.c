/* check_multipart: multipart/form-data bodies, good and broken. */
#include "plugins/knowledge/multipart.h"

#include <check.h>
#include <stdlib.h>

static struct multipart_part parts[MULTIPART_PARTS_MAX];
static char err[160];
static size_t n;

static int
parse(const char *body, size_t body_n)
{
	/* a copy of exactly this size, so that a read past its end is seen */
	char *p = malloc(body_n + (body_n == 0));
	int r;

	memcpy(p, body, body_n);
	err[0] = '\0';
	r = multipart_parse((ins_str){ p, body_n }, ins_s("XX"), parts, &n, err);
	if (r != 0)
		free(p);
	return r;
}

static void
is(ins_str s, const char *z)
{
	ck_assert_uint_eq(s.n, strlen(z));
	ck_assert_int_eq(memcmp(s.p, z, s.n), 0);
}

START_TEST(parts_are_found_with_their_names)
{
	const char *z =
	    "--XX\r\nContent-Disposition: form-data; name=\"title\"\r\n\r\nA title\r\n"
	    "--XX  \r\ncontent-disposition:form-data;name=file; filename=\"a \\\"b\\\".html\"\r\n"
	    "Content-Type: text/html; "
	    "charset=utf-8\r\n\r\n<p>--XX\r\n--XXY\r\n\r\n\r\n--XX--\r\nepilogue";

	ck_assert_int_eq(parse(z, strlen(z)), 0);
	ck_assert_uint_eq(n, 2);
	is(parts[0].name, "title");
	is(parts[0].body, "A title");
	ck_assert_ptr_null(parts[0].filename.p);
	is(parts[1].name, "file");
	is(parts[1].filename, "a \\\"b\\\".html");
	is(parts[1].type, "text/html; charset=utf-8");
	is(parts[1].body, "<p>--XX\r\n--XXY\r\n\r\n");
}
END_TEST

START_TEST(an_empty_file_is_an_empty_part)
{
	const char *z =
	    "pre\r\n--XX\r\nContent-Disposition: form-data; name=file\r\n\r\n\r\n--XX--";

	ck_assert_int_eq(parse(z, strlen(z)), 0);
	ck_assert_uint_eq(n, 1);
	is(parts[0].body, "");
}
END_TEST

#define H "--XX\r\nContent-Disposition: form-data; name=a\r\n"

static const struct {
	const char *body, *error;
} broken[] = {
	{ "", "is empty" },
	{ "hello", "does not hold its boundary" },
	{ "--XXhello\r\n", "does not hold its boundary" },
	{ "--XX--\r\n", "holds no parts" },
	{ H "\r\nabc", "ends without its closing boundary" },
	{ H "\r\nabc\r\n--X", "ends without its closing boundary" },
	{ H "\r\nabc\r\n--XX", "ends without its closing boundary" },
	{ H "\r\nabc\r\n--XX\r\n", "ends inside a part's headers" },
	{ H, "ends inside a part's headers" },
	{ "--XX\r\n\r\nabc\r\n--XX--", "holds a part without a name" },
	{ "--XX\r\nContent-Disposition: attachment; name=a\r\n\r\nabc\r\n--XX--",
	    "holds a part that is not form-data" },
	{ "--XX\r\nContent-Disposition: form-data; name=\"a\r\n\r\nabc\r\n--XX--",
	    "holds a Content-Disposition that cannot be read" },
	{ "--XX\r\nnonsense\r\n\r\nabc\r\n--XX--", "holds a part with a broken header line" },
	{ H "Content-Transfer-Encoding: base64\r\n\r\nabc\r\n--XX--",
	    "uses a Content-Transfer-Encoding, which form data must not" },
	{ H "\r\nabc\n--XX--\n", "ends without its closing boundary" },
};

START_TEST(broken_bodies_are_refused_with_a_sentence)
{
	char want[160];

	ck_assert_int_eq(parse(broken[_i].body, strlen(broken[_i].body)), -1);
	snprintf(want, sizeof want, "the multipart body %s", broken[_i].error);
	ck_assert_str_eq(err, want);
}
END_TEST

START_TEST(counts_and_sizes_are_bounded)
{
	static char z[200000];
	size_t at = 0;
	int i;

	for (i = 0; i < 40; i++)
		at += (size_t)snprintf(
		    z + at, sizeof z - at, "%s" H "\r\nabc", i == 0 ? "" : "\r\n");
	snprintf(z + at, sizeof z - at, "\r\n--XX--");
	ck_assert_int_eq(parse(z, strlen(z)), -1);
	ck_assert_str_eq(err, "the multipart body holds more than 32 parts");
	at = (size_t)snprintf(z, sizeof z, H "X: ");
	memset(z + at, 'x', 100000);
	snprintf(z + at + 100000, 100, "\r\n\r\nabc\r\n--XX--");
	ck_assert_int_eq(parse(z, strlen(z)), -1);
	ck_assert_str_eq(err, "the multipart body holds a part whose headers are too long");
}
END_TEST

static const struct {
	const char *type, *boundary;
} types[] = {
	{ "multipart/form-data; boundary=XX", "XX" },
	{ "Multipart/Form-Data; charset=utf-8; Boundary=\"a'()+_,-./:=?b\"", "a'()+_,-./:=?b" },
	{ "multipart/form-data;boundary=XX;", "XX" },
	{ "multipart/form-data", NULL },
	{ "multipart/mixed; boundary=XX", NULL },
	{ "multipart/form-data; boundary=", NULL },
	{ "multipart/form-data; boundary=\"XX", NULL },
	{ "multipart/form-data; boundary=\"a b\"", NULL },
	{ "multipart/form-data; boundary="
	  "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
	    NULL },
	{ "", NULL },
};

START_TEST(boundaries_come_from_the_content_type)
{
	ins_str b = { NULL, 0 };

	ck_assert_int_eq(
	    multipart_boundary(ins_s(types[_i].type), &b), types[_i].boundary == NULL ? -1 : 0);
	if (types[_i].boundary != NULL)
		is(b, types[_i].boundary);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("multipart");
	TCase *t = tcase_create("bodies");
	SRunner *r = srunner_create(s);
	int failed;

	tcase_add_test(t, parts_are_found_with_their_names);
	tcase_add_test(t, an_empty_file_is_an_empty_part);
	tcase_add_loop_test(
	    t, broken_bodies_are_refused_with_a_sentence, 0, sizeof broken / sizeof broken[0]);
	tcase_add_test(t, counts_and_sizes_are_bounded);
	tcase_add_loop_test(
	    t, boundaries_come_from_the_content_type, 0, sizeof types / sizeof types[0]);
	suite_add_tcase(s, t);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed == 0 ? 0 : 1;
}
