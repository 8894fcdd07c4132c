"""`python -m dibs`."""

from dibs.command import main

main()
