"""SCIM 2.0: accounts and groups that a provider keeps up to date by itself (RFC 7643, RFC 7644)."""
