"""The samples of an input and what must be known of all of them."""
