"""The event platform: intake, journal, publishing, and the pages around them."""
