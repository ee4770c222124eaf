"""The identity program, which names the person of a sighting, and the GraphQL API."""
