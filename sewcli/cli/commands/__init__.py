"""The commands of `sew`, each in the module of its name, and what belongs to one of them."""
