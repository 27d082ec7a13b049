"""N-gram language models: counting, smoothing and writing them."""
