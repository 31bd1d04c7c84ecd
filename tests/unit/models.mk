# unit tests of the model and policy plugins
# Their own CFLAGS give them objects of their own: those of the plugins are libtool's.
if HAVE_CHECK
check_PROGRAMS += tests/unit/check_model_call tests/unit/check_sse tests/unit/check_model_openai tests/unit/check_policy_static
unit_tests += tests/unit/check_model_call tests/unit/check_sse tests/unit/check_model_openai tests/unit/check_policy_static
tests_unit_check_sse_SOURCES = tests/unit/check_sse.c \
	plugins/model_openai/model_openai_buf.c plugins/model_openai/model_openai_sse.c
tests_unit_check_sse_CFLAGS = $(AM_CFLAGS)
tests_unit_check_sse_LDADD = $(CHECK_LIBS)
tests_unit_check_model_openai_SOURCES = tests/unit/check_model_openai.c $(model_openai_pure)
tests_unit_check_model_openai_CFLAGS = $(AM_CFLAGS)
tests_unit_check_model_openai_LDADD = $(JANSSON_LIBS) $(CHECK_LIBS)
tests_unit_check_model_call_SOURCES = tests/unit/check_model_call.c $(model_openai_pure) \
	plugins/model_openai/model_openai_call.c plugins/model_openai/model_openai_call.h
tests_unit_check_model_call_CFLAGS = $(AM_CFLAGS)
tests_unit_check_model_call_LDADD = $(JANSSON_LIBS) $(CHECK_LIBS)
tests_unit_check_policy_static_SOURCES = tests/unit/check_policy_static.c $(policy_static_pure)
tests_unit_check_policy_static_CFLAGS = $(AM_CFLAGS)
tests_unit_check_policy_static_LDADD = $(JANSSON_LIBS) $(CHECK_LIBS) -lm
endif
