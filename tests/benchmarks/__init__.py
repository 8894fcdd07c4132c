"""How fast dibs is, next to what a user would run instead; `python -m tests.benchmarks`."""
