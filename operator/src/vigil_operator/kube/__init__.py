"""The API server: the only I/O with it, and what was last seen there."""
