# unit tests of plugins/metering
if HAVE_CHECK
check_PROGRAMS += tests/unit/check_metering
unit_tests += tests/unit/check_metering
tests_unit_check_metering_SOURCES = tests/unit/check_metering.c $(metering_pure)
tests_unit_check_metering_CFLAGS = $(AM_CFLAGS)
tests_unit_check_metering_LDADD = $(metering_libs) $(CHECK_LIBS)
endif
