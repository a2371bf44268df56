"""Reading a test: from the answers and events of an experiment to what may be concluded."""
