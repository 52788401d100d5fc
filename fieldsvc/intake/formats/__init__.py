"""What phones send: one module a format."""
