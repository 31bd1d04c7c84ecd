# unit tests of openai
