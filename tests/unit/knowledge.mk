# unit tests of knowledge
if HAVE_CHECK
knowledge_tests = tests/unit/check_extract
check_PROGRAMS += $(knowledge_tests)
unit_tests += $(knowledge_tests)

tests_unit_check_extract_SOURCES = tests/unit/check_extract.c $(extract_sources)
tests_unit_check_extract_CFLAGS = $(extract_cflags)
tests_unit_check_extract_LDADD = $(extract_libs) $(JANSSON_LIBS) $(CHECK_LIBS)
endif
