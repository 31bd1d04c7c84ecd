# Metering through a whole host, killed and started again.
if HAVE_CHECK
check_PROGRAMS += tests/integration/check_usage
integration_tests += tests/integration/check_usage
tests_integration_check_usage_SOURCES = tests/integration/check_usage.c plugins/metering/money.c plugins/metering/money.h
tests_integration_check_usage_CFLAGS = $(AM_CFLAGS)
tests_integration_check_usage_LDADD = $(HOUSE_LIBS)
endif
