"""The program `vigil-gateway identity`: who was it."""
