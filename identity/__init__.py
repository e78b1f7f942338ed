"""Who is calling: providers, tokens, principals and linked accounts."""
