"""A Triton model repository on disk: its configurations, its manifest, and writing it whole or not at all."""
