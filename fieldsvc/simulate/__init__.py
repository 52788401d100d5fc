"""The demo's other side: a fictional town, carriers, phones and a subscriber. An HTTP client only."""

APPS = ("cloudevents", "owntracks", "osmand", "traccar")
