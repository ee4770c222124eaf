"""The GraphQL API: schema, resolvers, limits, and the live feed behind the subscriptions."""
