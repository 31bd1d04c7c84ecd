/* fuzz_conf.c: any bytes as a configuration: an error with a place, or a conf. */
#include <stdlib.h>
#include <string.h>

#include "plugin/conf.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

int
LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	char err[CONF_ERR_MAX] = "";
	struct conf_doc doc;
	struct conf *conf;

	if (conf_doc_parse(&doc, "fuzz.yaml", (const char *)p, n, err) == 0) {
		conf = conf_new(&doc, err);
		if (conf != NULL) {
			conf_unref(conf);
			return 0;
		}
	}
	if (err[0] == '\0')
		abort();
	return 0;
}
