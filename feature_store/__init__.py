"""Events in, durable log, tables, features: a light online side, an offline side with polars."""
