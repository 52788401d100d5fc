"""What people are told: by mail, by an SMS gateway, or by letter."""
