# The SDK's mock host.
if HAVE_CHECK
check_PROGRAMS += tests/unit/check_mock
unit_tests += tests/unit/check_mock
tests_unit_check_mock_SOURCES = tests/unit/check_mock.c
tests_unit_check_mock_LDADD = $(MOCK_LIBS)
endif

# A third party's way, outside the tree: run by contrib/check.
EXTRA_DIST += tests/sdk/stranger
