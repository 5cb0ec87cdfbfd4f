"""The lessons on scale: batching, caching, vector search, distribution."""
