# plugins/metering
EXTRA_DIST += tests/fuzz/corpus/usage tests/fuzz/corpus/prices
if FUZZ
noinst_PROGRAMS += tests/fuzz/fuzz_usage tests/fuzz/fuzz_prices
tests_fuzz_fuzz_usage_SOURCES = tests/fuzz/fuzz_usage.c $(metering_pure)
tests_fuzz_fuzz_usage_CFLAGS = $(AM_CFLAGS)
tests_fuzz_fuzz_usage_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer
tests_fuzz_fuzz_usage_LDADD = $(metering_libs)
tests_fuzz_fuzz_prices_SOURCES = tests/fuzz/fuzz_prices.c $(metering_pure)
tests_fuzz_fuzz_prices_CFLAGS = $(AM_CFLAGS)
tests_fuzz_fuzz_prices_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer
tests_fuzz_fuzz_prices_LDADD = $(metering_libs)
endif
