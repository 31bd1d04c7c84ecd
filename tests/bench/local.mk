# tests/bench
# plugins/index_local: quality and speed of the index; skipped where the collection is absent
CRANFIELD = $(top_srcdir)/../shared/data/cranfield
EXTRA_PROGRAMS += tests/bench/bench_bm25
tests_bench_bench_bm25_SOURCES = tests/bench/bench_bm25.c $(index_sources)
tests_bench_bench_bm25_LDADD = $(index_libs) $(JANSSON_LIBS)
bench-bm25: tests/bench/bench_bm25
	tests/bench/bench_bm25 $(CRANFIELD)
bench: bench-bm25
CLEANFILES += tests/bench/bench_bm25
