host_libhost_a_SOURCES += \
	host/loop/co.h \
	host/loop/loop.h \
	host/loop/task.h
