"""What takes the outputs of the network for one recording and makes a result of them: a module a result."""
