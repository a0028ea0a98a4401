"""Each kind of fault as the variable part of a Chaos Toolkit experiment. Pure."""
