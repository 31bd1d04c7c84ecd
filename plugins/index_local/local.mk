# plugins/index_local: the index itself is pure and linked into its tests and bench too
index_sources = \
	plugins/index_local/analyze.c \
	plugins/index_local/analyze.h \
	plugins/index_local/index.c \
	plugins/index_local/index.h \
	plugins/index_local/index_search.c \
	plugins/index_local/segment.c \
	plugins/index_local/segment.h
index_libs = -lstemmer $(UTF8PROC_LIBS) -lm
