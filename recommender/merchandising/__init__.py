"""What the shop itself wants of a list: rules from a file, applied to a ranking."""
