# unit tests of auth
if HAVE_CHECK
check_PROGRAMS += tests/unit/check_auth
unit_tests += tests/unit/check_auth
tests_unit_check_auth_SOURCES = tests/unit/check_auth.c tests/lib/token.c tests/lib/token.h $(AUTH_PURE)
tests_unit_check_auth_CFLAGS = $(AM_CFLAGS) $(JWT_CFLAGS)
tests_unit_check_auth_LDADD = $(JWT_LIBS) $(JANSSON_LIBS) $(OPENSSL_LIBS) $(CHECK_LIBS)
endif
