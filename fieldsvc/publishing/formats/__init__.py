"""Formats in which public events are written."""
