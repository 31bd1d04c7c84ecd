EXTRA_DIST += contrib/bootstrap contrib/check contrib/quickstart contrib/lib/stages.sh
