"""`aftercall run`: processes, health, signals, logs."""
