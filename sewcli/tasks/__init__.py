"""A model at work on sources, for commands and for Python alike: a module a task."""
