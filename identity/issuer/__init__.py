"""The gateway as an OAuth 2.0 authorization server: its keys, tokens and sessions."""
