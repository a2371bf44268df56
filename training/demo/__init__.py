"""A demonstration of everything: simulate, ingest, train, materialise, serve."""
