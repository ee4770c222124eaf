"""Who was it, and who wants to know: the identity program and the GraphQL API."""
