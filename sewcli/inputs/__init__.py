"""What to read: paths, folders, addresses, manifests, in order."""
