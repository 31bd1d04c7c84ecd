/* runs_api.h: the few functions of the SDK that pure code of plugins calls, for unit tests. */
#ifndef TESTS_RUNS_API_H
#define TESTS_RUNS_API_H

#include <insula/insula.h>

static char test_error[512];

static int
test_fail(ins_ctx *ctx, int code, const char *text)
{
	(void)ctx;
	snprintf(test_error, sizeof test_error, "%s", text);
	return -code;
}

static const char *
test_last_error(ins_ctx *ctx)
{
	(void)ctx;
	return test_error;
}

static void
test_clear_error(ins_ctx *ctx)
{
	(void)ctx;
	test_error[0] = '\0';
}

static const ins_core_api test_core = {
	.size = sizeof test_core,
	.fail = test_fail,
	.last_error = test_last_error,
	.clear_error = test_clear_error,
};
static const ins_api test_api = { .size = sizeof test_api, .core = &test_core };
const ins_api *ins_api_ = &test_api;

#endif
