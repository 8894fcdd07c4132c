"""`dibs import`: from a file to a bulk, line by line, and again from where it broke off."""
