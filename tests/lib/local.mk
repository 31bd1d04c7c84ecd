# tests/lib
# The upstream that tests of model_openai talk to, a program of its own.
check_PROGRAMS += tests/lib/upstream
tests_lib_upstream_SOURCES = tests/lib/upstream.c tests/lib/upstream_script.c tests/lib/upstream_script.h
tests_lib_upstream_LDADD = $(UV_LIBS) $(JANSSON_LIBS)
EXTRA_DIST += tests/lib/upstream_proc.c tests/lib/upstream_proc.h tests/lib/client.c tests/lib/client.h
