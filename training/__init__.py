"""Offline jobs: tables to models, evaluation, registry, delivery."""
