# unit tests of child, knowledge and index_local
if HAVE_CHECK
knowledge_tests = tests/unit/check_bm25 tests/unit/check_chunk tests/unit/check_extract tests/unit/check_multipart
check_PROGRAMS += $(knowledge_tests)
unit_tests += $(knowledge_tests)

tests_unit_check_bm25_SOURCES = tests/unit/check_bm25.c $(index_sources)
tests_unit_check_bm25_LDADD = $(index_libs) $(CHECK_LIBS)
tests_unit_check_chunk_SOURCES = tests/unit/check_chunk.c plugins/knowledge/chunk.c
tests_unit_check_chunk_LDADD = $(CHECK_LIBS)
tests_unit_check_extract_SOURCES = tests/unit/check_extract.c $(extract_sources)
tests_unit_check_extract_CFLAGS = $(extract_cflags)
tests_unit_check_extract_LDADD = $(extract_libs) $(JANSSON_LIBS) $(CHECK_LIBS)
tests_unit_check_multipart_SOURCES = tests/unit/check_multipart.c plugins/knowledge/multipart.c
tests_unit_check_multipart_LDADD = $(JANSSON_LIBS) $(CHECK_LIBS)
endif
