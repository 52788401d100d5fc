"""Delivery changes: what stands around the state machine of their handler."""
