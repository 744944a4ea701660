"""Newton-type methods."""
