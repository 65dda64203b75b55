"""Presets: which runs each finding needs, at which scale, and how they are recorded."""
