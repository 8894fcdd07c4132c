"""Everything dies, again and again, while adds come in; then every promise is checked. `python -m tests.chaos --help`."""
