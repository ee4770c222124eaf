"""A GraphQL client of Vigil, as any frontend would be: queries over HTTP, subscriptions over graphql-transport-ws."""

from vigil_cli.client.api import Api, ApiError, ApiRefusedError

__all__ = ["Api", "ApiError", "ApiRefusedError"]
