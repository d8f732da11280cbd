"""`aftercall erase`, on a running and on a stopped service."""
