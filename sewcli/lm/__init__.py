"""N-gram language models: counting, smoothing and writing them, and finding one to decode with."""
