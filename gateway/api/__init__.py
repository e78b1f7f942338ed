"""The gateway's own API, everything under /-/."""
