host_libhost_a_SOURCES += \
	host/base/arena.c \
	host/base/arena.h \
	host/base/base.c \
	host/base/base.h \
	host/base/err.c \
	host/base/err.h \
	host/base/json.c \
	host/base/json.h \
	host/base/log.c \
	host/base/log.h \
	host/base/metric.c \
	host/base/metric.h \
	host/base/str.c \
	host/base/str.h
