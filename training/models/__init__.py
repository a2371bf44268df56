"""Models: each turns interactions into arrays, by one idea. Only they import `implicit`."""
