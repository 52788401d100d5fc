"""Projections and reference data, and the PostgreSQL that holds them."""
