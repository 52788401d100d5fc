"""Which object is made of what, by audience; `fieldsvc/app.py` puts them together."""
