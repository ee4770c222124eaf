"""Subjects: enrolled with their photos, and erased when they are deleted."""
