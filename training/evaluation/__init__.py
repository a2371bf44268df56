"""Evaluation: hold-out shoppers are asked through the pipeline that serves."""
