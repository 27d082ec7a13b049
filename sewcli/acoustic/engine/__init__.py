"""The fast engine: SEW and SEW-D in plain torch, without transformers."""
