"""The policy engine: Casbin semantics over a validated bundle."""
