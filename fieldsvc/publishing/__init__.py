"""Publishing: the journal is the queue; every endpoint reads it in strict order per subject."""
