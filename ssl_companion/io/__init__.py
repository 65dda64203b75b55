"""Files that are whole or absent, locks, and where a result comes from."""
