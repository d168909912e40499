"""Strings in, integers out: tokenizer, vocabulary, encoding and word vectors."""
