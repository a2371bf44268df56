"""The durable log: append-only segments of checked frames; see docs/event-log.md."""

from feature_store.event_log.reader import LogEntry, LogReader, ReadCounts, read_records

__all__ = ["LogEntry", "LogReader", "ReadCounts", "read_records"]
