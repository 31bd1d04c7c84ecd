# tests/fuzz
# plugins/auth
EXTRA_DIST += tests/fuzz/corpus/jwt tests/fuzz/corpus/apikey
if FUZZ
noinst_PROGRAMS += tests/fuzz/fuzz_jwt tests/fuzz/fuzz_apikey
tests_fuzz_fuzz_jwt_SOURCES = tests/fuzz/fuzz_jwt.c plugins/auth/auth_jwt.c
tests_fuzz_fuzz_jwt_CFLAGS = $(AM_CFLAGS)
tests_fuzz_fuzz_jwt_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer
tests_fuzz_fuzz_jwt_LDADD = $(JANSSON_LIBS)
tests_fuzz_fuzz_apikey_SOURCES = tests/fuzz/fuzz_apikey.c plugins/auth/auth_apikey.c
tests_fuzz_fuzz_apikey_CFLAGS = $(AM_CFLAGS)
tests_fuzz_fuzz_apikey_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer
tests_fuzz_fuzz_apikey_LDADD = $(OPENSSL_LIBS)
endif
# plugins/model_openai
EXTRA_DIST += tests/fuzz/corpus/sse tests/fuzz/corpus/answer
if FUZZ
noinst_PROGRAMS += tests/fuzz/fuzz_sse tests/fuzz/fuzz_answer
tests_fuzz_fuzz_sse_SOURCES = tests/fuzz/fuzz_sse.c \
	plugins/model_openai/model_openai_buf.c plugins/model_openai/model_openai_sse.c
tests_fuzz_fuzz_sse_CFLAGS = $(AM_CFLAGS)
tests_fuzz_fuzz_sse_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer
tests_fuzz_fuzz_answer_SOURCES = tests/fuzz/fuzz_answer.c $(model_openai_pure)
tests_fuzz_fuzz_answer_CFLAGS = $(AM_CFLAGS)
tests_fuzz_fuzz_answer_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer
tests_fuzz_fuzz_answer_LDADD = $(JANSSON_LIBS)
endif
# plugins/openai
EXTRA_DIST += tests/fuzz/corpus/chat
if FUZZ
noinst_PROGRAMS += tests/fuzz/fuzz_chat
tests_fuzz_fuzz_chat_SOURCES = tests/fuzz/fuzz_chat.c $(OPENAI_PURE)
tests_fuzz_fuzz_chat_CFLAGS = $(AM_CFLAGS)
tests_fuzz_fuzz_chat_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer
tests_fuzz_fuzz_chat_LDADD = $(JANSSON_LIBS)
endif
include tests/fuzz/knowledge.mk
include tests/fuzz/metering.mk
include tests/fuzz/plugin.mk
include tests/fuzz/langgraph.mk
include tests/fuzz/base.mk
include tests/fuzz/net.mk
