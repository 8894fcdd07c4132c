"""The door: HTTP in, JSON out; enqueues and reads, never inserts rows."""
