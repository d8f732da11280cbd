"""Read and write JSON Lines files."""
