"""Pure functions and estimators, each with its source. Every file is public."""
