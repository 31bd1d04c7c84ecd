# unit tests of openai
if HAVE_CHECK
check_PROGRAMS += tests/unit/check_openai
unit_tests += tests/unit/check_openai
tests_unit_check_openai_SOURCES = tests/unit/check_openai.c $(OPENAI_PURE)
tests_unit_check_openai_CFLAGS = $(AM_CFLAGS)
tests_unit_check_openai_LDADD = $(JANSSON_LIBS) $(CHECK_LIBS)
endif
