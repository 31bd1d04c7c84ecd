# plugins/langgraph
EXTRA_DIST += tests/fuzz/corpus/langgraph
if FUZZ
noinst_PROGRAMS += tests/fuzz/fuzz_langgraph
tests_fuzz_fuzz_langgraph_SOURCES = tests/fuzz/fuzz_langgraph.c $(langgraph_pure)
tests_fuzz_fuzz_langgraph_CFLAGS = $(AM_CFLAGS)
tests_fuzz_fuzz_langgraph_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer
tests_fuzz_fuzz_langgraph_LDADD = $(JANSSON_LIBS) $(OPENSSL_LIBS)
endif
