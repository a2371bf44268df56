"""A page to try the service with: a shop front, what is suggested, and why."""
