"""The commands that talk to a server, one module for each thing that they do."""
