"""Git as an ordinary user with no configuration of their own would run it."""

import subprocess
from pathlib import Path


def git(root: Path, *arguments: str) -> str:
    """Run one git command in `root` and return what it prints."""
    identity = ["-c", "user.name=alice", "-c", "user.email=alice@example.com", "-c", "commit.gpgsign=false"]
    done = subprocess.run(["git", *identity, *arguments], cwd=root, check=True, capture_output=True, text=True)
    return done.stdout.strip()


def commit(root: Path, message: str = "Change the policy") -> str:
    """Commit everything and return the commit's id."""
    git(root, "add", "--all")
    git(root, "commit", "--quiet", "--message", message)
    return git(root, "rev-parse", "HEAD")
