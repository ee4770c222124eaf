"""One level-based function per kind: read the cache, compute, apply, prune, report."""
