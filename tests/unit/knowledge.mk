# unit tests of knowledge
