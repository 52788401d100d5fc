"""Intake: from the bytes of an upload to a submission for the journal, and back to an answer."""
