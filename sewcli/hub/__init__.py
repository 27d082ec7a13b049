"""Models from the hub, and its cache on this machine."""
