# host/plugin
EXTRA_DIST += tests/fuzz/corpus/conf tests/fuzz/corpus/traceparent
if FUZZ
noinst_PROGRAMS += tests/fuzz/fuzz_conf tests/fuzz/fuzz_traceparent
tests_fuzz_fuzz_conf_SOURCES = tests/fuzz/fuzz_conf.c
tests_fuzz_fuzz_conf_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer
tests_fuzz_fuzz_conf_LDADD = $(HOST_LIBS)
tests_fuzz_fuzz_traceparent_SOURCES = tests/fuzz/fuzz_traceparent.c
tests_fuzz_fuzz_traceparent_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer
tests_fuzz_fuzz_traceparent_LDADD = $(HOST_LIBS)
endif
