"""Sites: the state of their parts, and the buses that they name."""
