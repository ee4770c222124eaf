"""Cameras: one stream pod each, and their conditions."""
