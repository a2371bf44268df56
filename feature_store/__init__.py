"""Events in, durable log, tables, features. The online side is light; the offline side may use polars."""
