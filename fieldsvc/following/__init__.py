"""People who follow an item or a pouch without an account: they find it, and are told how it stands."""
