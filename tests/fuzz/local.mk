# tests/fuzz
# plugins/auth
EXTRA_DIST += tests/fuzz/corpus/jwt tests/fuzz/corpus/apikey
if FUZZ
noinst_PROGRAMS += tests/fuzz/fuzz_jwt tests/fuzz/fuzz_apikey
tests_fuzz_fuzz_jwt_SOURCES = tests/fuzz/fuzz_jwt.c plugins/auth/auth_jwt.c
tests_fuzz_fuzz_jwt_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer
tests_fuzz_fuzz_jwt_LDADD = $(JANSSON_LIBS)
tests_fuzz_fuzz_apikey_SOURCES = tests/fuzz/fuzz_apikey.c plugins/auth/auth_apikey.c
tests_fuzz_fuzz_apikey_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer
tests_fuzz_fuzz_apikey_LDADD = $(OPENSSL_LIBS)
endif
