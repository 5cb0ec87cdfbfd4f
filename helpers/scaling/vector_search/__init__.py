"""Lesson 06: exact and approximate vector search, from a thousand to a million vectors.

    indexes    Flat, IVF, HNSW, PQ and IVFPQ behind one interface: Index
    corpora    real vectors, real sentences as queries, larger sets made from them
    measuring  recall, latency, growth, and the choice of an index
    shards     one index over several processes
    hybrid     dense search beside BM25
    figures    the lesson's figures
    recorded   what is too long for a notebook

`python -m helpers.scaling.vector_search --n 100000` compares the indexes in a terminal. Nothing is
imported here, so that a process that searches a shard loads FAISS alone, and no model.
"""
