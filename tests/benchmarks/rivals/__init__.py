"""What a user would run instead of dibs. Nothing here imports dibs: it runs in an environment of its own."""
