# unit tests of net
HTTP_PEER = tests/unit/http_peer.c tests/unit/http_peer.h
if HAVE_CHECK
check_PROGRAMS += tests/unit/check_fetch tests/unit/check_http tests/unit/check_http_limits \
	tests/unit/check_http_wire tests/unit/check_route tests/unit/check_tls
unit_tests += tests/unit/check_fetch tests/unit/check_http tests/unit/check_http_limits \
	tests/unit/check_http_wire tests/unit/check_route tests/unit/check_tls
tests_unit_check_fetch_SOURCES = tests/unit/check_fetch.c
tests_unit_check_fetch_LDADD = $(UNIT_LIBS)
tests_unit_check_http_SOURCES = tests/unit/check_http.c $(HTTP_PEER)
tests_unit_check_http_LDADD = $(UNIT_LIBS)
tests_unit_check_http_limits_SOURCES = tests/unit/check_http_limits.c $(HTTP_PEER)
tests_unit_check_http_limits_LDADD = $(UNIT_LIBS)
tests_unit_check_http_wire_SOURCES = tests/unit/check_http_wire.c $(HTTP_PEER)
tests_unit_check_http_wire_LDADD = $(UNIT_LIBS)
tests_unit_check_route_SOURCES = tests/unit/check_route.c
tests_unit_check_route_LDADD = $(UNIT_LIBS)
tests_unit_check_tls_SOURCES = tests/unit/check_tls.c tests/lib/certs.c tests/lib/certs.h
tests_unit_check_tls_LDADD = $(UNIT_LIBS)
endif
