# plugins/knowledge: what needs no host is linked into its tests and fuzz targets too
knowledge_pure = \
	plugins/knowledge/chunk.c \
	plugins/knowledge/chunk.h \
	plugins/knowledge/multipart.c \
	plugins/knowledge/multipart.h
