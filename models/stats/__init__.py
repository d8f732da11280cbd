"""Statistics are functions and estimators, each with its source; every file is public."""
