# unit tests of runs
