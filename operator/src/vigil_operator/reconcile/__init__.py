"""One level-based function per kind: read the world, compute, apply, prune, report."""
