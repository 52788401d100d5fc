"""Figures of services by site and month, of which none is a carrier's."""
