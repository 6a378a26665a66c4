"""Lessons: read, checked on evidence, and remembered."""
