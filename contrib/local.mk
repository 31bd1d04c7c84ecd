EXTRA_DIST += contrib/bootstrap
