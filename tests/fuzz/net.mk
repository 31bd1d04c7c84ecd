# host/net
EXTRA_DIST += tests/fuzz/corpus/route tests/fuzz/corpus/http_decode tests/fuzz/corpus/ws
if FUZZ
noinst_PROGRAMS += tests/fuzz/fuzz_route tests/fuzz/fuzz_http_decode tests/fuzz/fuzz_ws
tests_fuzz_fuzz_route_SOURCES = tests/fuzz/fuzz_route.c
tests_fuzz_fuzz_route_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer
tests_fuzz_fuzz_route_LDADD = $(HOST_LIBS)
tests_fuzz_fuzz_http_decode_SOURCES = tests/fuzz/fuzz_http_decode.c
tests_fuzz_fuzz_http_decode_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer
tests_fuzz_fuzz_http_decode_LDADD = $(HOST_LIBS)
tests_fuzz_fuzz_ws_SOURCES = tests/fuzz/fuzz_ws.c host/net/ws_frame.c host/base/base.c
tests_fuzz_fuzz_ws_CFLAGS = $(AM_CFLAGS)
tests_fuzz_fuzz_ws_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer
tests_fuzz_fuzz_ws_LDADD = $(OPENSSL_LIBS)
endif
