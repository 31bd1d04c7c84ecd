/* err.h: the one table from INS_E* codes to names, HTTP statuses and protocol error types. Codes
 * are taken with either sign; an unknown one is EINTERNAL. */
#ifndef HOST_ERR_H
#define HOST_ERR_H

#include <insula/insula.h>

struct err_info {
	int code, http_status, retryable;
	const char *name, *type, *openai_code; /* openai_code may be NULL */
};
const struct err_info *err_info(int code);

#endif
