"""Engines: ways to run the five operations of `training.engine`."""
