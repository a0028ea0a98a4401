"""Faults: chosen, compiled to Chaos Toolkit experiments, carried out, verified and healed."""
