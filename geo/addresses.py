"""Addresses: read them, write them, find where they are. The names that outsiders import."""

from geo.address_parser import Address, one_line, parse, split_number
from geo.address_store import MemoryStore, Number, Store, Street
from geo.address_writing import format_lines
from geo.communes import Communes
from geo.geocoding import ACCEPT_SCORE, REVIEW_SCORE, Candidate, Geocoder
from geo.street_words import city_key, normalise_street, street_key

__all__ = [
    "ACCEPT_SCORE",
    "REVIEW_SCORE",
    "Address",
    "Candidate",
    "Communes",
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
