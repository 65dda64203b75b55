"""Encoders by their names: of the book, of libraries, of files, and baselines."""
