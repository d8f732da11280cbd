"""Vectorised containers do not depend on calls or steps; every file is public."""
