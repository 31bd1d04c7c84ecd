/* fuzz_prices: YAML as a price list; what is taken answers for its models. */
#include <string.h>

#include "plugins/metering/prices.h"

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	char err[PRICES_ERR_MAX];
	struct price price;
	struct prices *p;
	json_t *j = prices_yaml((const char *)data, n, err);

	if (j == NULL) {
		if (memchr(err, '\0', sizeof err) == NULL)
			__builtin_trap();
		return 0;
	}
	p = prices_new(j, err);
	json_decref(j);
	if (p == NULL)
		return 0;
	if (prices_find(p, "a", INT64_C(1793491200000000), &price) == 0 &&
	    prices_cost(&price, PRICES_TOKENS_MAX, 1, PRICES_TOKENS_MAX) < 0)
		__builtin_trap();
	prices_free(p);
	return 0;
}
