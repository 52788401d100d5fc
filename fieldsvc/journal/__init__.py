"""The journal: one commit decides, stores, queues and acknowledges."""
