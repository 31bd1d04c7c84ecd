host_libhost_a_SOURCES += \
	host/loop/co.c \
	host/loop/co.h \
	host/loop/cond.c \
	host/loop/loop.c \
	host/loop/loop.h \
	host/loop/task.c \
	host/loop/task.h \
	host/loop/timer.c \
	host/loop/timer.h
