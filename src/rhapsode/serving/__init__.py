"""The HTTP server: models that any client of the OpenAI interface can talk to."""
