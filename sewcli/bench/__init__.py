"""Speed on this machine, as ratios of runs that take turns: what `sew bench` prints."""
