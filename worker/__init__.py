"""The hands: the only code that inserts rows."""
