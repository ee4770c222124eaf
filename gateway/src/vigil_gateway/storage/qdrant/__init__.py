"""The gallery: an index over the embeddings of Subjects."""
