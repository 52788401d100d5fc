"""A hostile day for a subscriber's receiver: its events, how they are sent, and what is said of the receiver afterwards."""
