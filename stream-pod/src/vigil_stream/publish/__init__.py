"""Events on their way out: first into a journal on disk, then to the bus."""
