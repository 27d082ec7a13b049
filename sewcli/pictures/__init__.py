"""Pictures of recordings and of what was heard in them."""
