"""Tracking: fixes become progress along the planned round, and are forgotten."""
