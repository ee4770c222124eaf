"""HTTP middleware of both programs."""
