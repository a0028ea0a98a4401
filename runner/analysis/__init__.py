"""Pure functions over the model. No I/O, no clock, no processes."""
