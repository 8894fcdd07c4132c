"""Where dibs is if nobody says otherwise."""

HERE = "http://127.0.0.1:8000"
