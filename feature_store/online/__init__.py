"""Online store: what the service needs to know about a visitor right now."""
