"""Thousands to millions of short items instead of one long book: prompts from a table, and nightly corpora."""
