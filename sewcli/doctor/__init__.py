"""What works on this machine, found by trying it, and what to do for what does not."""
