# The gateway: credentials, tenants, permissions, bad input, through a whole host.
if HAVE_CHECK
check_PROGRAMS += tests/integration/check_gateway
integration_tests += tests/integration/check_gateway
tests_integration_check_gateway_SOURCES = tests/integration/check_gateway.c tests/lib/token.c tests/lib/token.h
tests_integration_check_gateway_CFLAGS = $(AM_CFLAGS) $(JWT_CFLAGS)
tests_integration_check_gateway_LDADD = $(HOUSE_LIBS) $(JWT_LIBS)
endif
