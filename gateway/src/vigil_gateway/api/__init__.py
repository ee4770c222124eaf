"""The program `vigil-gateway api`."""
