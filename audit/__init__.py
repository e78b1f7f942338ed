"""What was decided, provably: records, the Merkle log, export and verification."""
