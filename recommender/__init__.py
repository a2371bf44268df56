"""The domain: from a query and a bundle of arrays to a slate.

No clock, no global randomness, no input or output but the bundle and the placements.
"""
