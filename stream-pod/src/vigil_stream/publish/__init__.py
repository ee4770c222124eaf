"""What leaves the process: first into a journal on disk, then onto the bus."""
