"""Plain HTTP: the registry, probes, metrics, and the page of the GraphQL API."""
