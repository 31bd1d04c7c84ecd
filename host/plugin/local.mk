host_libhost_a_SOURCES +=
