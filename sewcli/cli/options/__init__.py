"""The options of the commands: their declaration, where their values come from, which have no effect."""
