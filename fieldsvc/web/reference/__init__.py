"""What the documents of the service are made of: schemas from the models, examples from the stories, one table of routes."""
