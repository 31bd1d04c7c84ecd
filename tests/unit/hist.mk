# unit tests of the load tools
if HAVE_CHECK
check_PROGRAMS += tests/unit/check_hist
unit_tests += tests/unit/check_hist
tests_unit_check_hist_SOURCES = tests/unit/check_hist.c tests/bench/hist.c tests/bench/hist.h
tests_unit_check_hist_CFLAGS = $(AM_CFLAGS)
tests_unit_check_hist_LDADD = $(CHECK_LIBS)
endif
