"""How clients ask: GraphQL, and the plain HTTP routes."""
