"""The stores: Postgres, and the gallery in Qdrant."""
