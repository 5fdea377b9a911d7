"""The commands, a module each; `group` imports the one that is run."""
