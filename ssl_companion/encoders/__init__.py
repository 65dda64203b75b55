"""Encoders to use outside the book: the network that comes with it."""
