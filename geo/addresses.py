"""Addresses: read them, write them, find where they are. The names that outsiders import."""

from geo.address_parser import Address, format_lines, one_line, parse, split_number
from geo.geocoding import ACCEPT_SCORE, REVIEW_SCORE, Candidate, Geocoder, MemoryStore, Number, Store, Street
from geo.street_words import city_key, normalise_street, street_key

__all__ = [
    "ACCEPT_SCORE",
    "REVIEW_SCORE",
    "Address",
    "Candidate",
    "Geocoder",
    "MemoryStore",
    "Number",
    "Store",
    "Street",
    "city_key",
    "format_lines",
    "normalise_street",
    "one_line",
    "parse",
    "split_number",
    "street_key",
]
