"""What a person sees while Vigil runs: a live table in a terminal, plain lines elsewhere."""
