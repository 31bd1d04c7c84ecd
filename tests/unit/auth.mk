# unit tests of auth
