"""Measures of representations: pure functions of features and labels (arrays only)."""
