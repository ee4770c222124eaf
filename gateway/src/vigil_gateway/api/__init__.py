"""The program `vigil-gateway api`."""

from vigil_gateway.api.program import run

__all__ = ["run"]
