host_libhost_a_SOURCES += \
	host/base/arena.h \
	host/base/base.h \
	host/base/err.h \
	host/base/json.h \
	host/base/log.h \
	host/base/metric.h \
	host/base/str.h
host_libhost_a_SOURCES += host/base/base.c
