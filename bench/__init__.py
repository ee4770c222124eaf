"""The bench: what Vigil costs and how fast it is on this machine, measured on the real programs (`python -m bench`)."""
