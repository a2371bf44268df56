"""Reports on a shop's log that need no model."""
