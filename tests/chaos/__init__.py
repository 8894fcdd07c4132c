"""Everything dies, again and again, while adds come in; then each promise is checked."""
