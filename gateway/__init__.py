"""The service: one request in, one decision, one answer."""
