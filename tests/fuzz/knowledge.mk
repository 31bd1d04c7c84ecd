# child, plugins/knowledge
EXTRA_DIST += tests/fuzz/corpus/extract tests/fuzz/corpus/multipart
if FUZZ
noinst_PROGRAMS += tests/fuzz/fuzz_extract tests/fuzz/fuzz_multipart
tests_fuzz_fuzz_extract_SOURCES = tests/fuzz/fuzz_extract.c plugins/knowledge/chunk.c $(extract_sources)
tests_fuzz_fuzz_extract_CFLAGS = $(extract_cflags)
tests_fuzz_fuzz_extract_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer
tests_fuzz_fuzz_extract_LDADD = $(extract_libs)
tests_fuzz_fuzz_multipart_SOURCES = tests/fuzz/fuzz_multipart.c plugins/knowledge/multipart.c
tests_fuzz_fuzz_multipart_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer
tests_fuzz_fuzz_multipart_LDADD = $(JANSSON_LIBS)
endif
