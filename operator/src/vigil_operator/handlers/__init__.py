"""kopf's part: it watches Vigil's own kinds and tells the cache; it writes nothing."""
