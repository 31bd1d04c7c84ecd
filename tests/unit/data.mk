# unit tests of data
if HAVE_CHECK
check_PROGRAMS += tests/unit/check_pg_text
unit_tests += tests/unit/check_pg_text
tests_unit_check_pg_text_SOURCES = tests/unit/check_pg_text.c
tests_unit_check_pg_text_LDADD = $(UNIT_LIBS)
endif
