"""HTTP: thin views, one file an audience, over the rooms below."""
