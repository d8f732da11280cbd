"""Transports: where events are delivered to. Each file loads what it needs when it is opened, on the sender thread."""
