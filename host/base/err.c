/* err.c: the table behind err_info(), made from the SDK's own list so that the two cannot differ.
 * Any thread. */
#include "base/err.h"

#include "base/base.h"

static const struct err_info table[] = {
#define INS_X(name, number, status, type, code, retry) { number, status, retry, #name, type, code },
	INS_ERRORS(INS_X)
#undef INS_X
};

const struct err_info *
err_info(int code)
{
	const struct err_info *internal = NULL;

	if (code < 0 && code != INT32_MIN)
		code = -code;
	for (size_t i = 0; i < NELEM(table); i++) {
		if (table[i].code == code)
			return &table[i];
		if (table[i].code == INS_EINTERNAL)
			internal = &table[i];
	}
	return internal;
}
