"""The services: pure rules, one file each. `handlers.registry.discover()` finds them."""
