"""What an experiment runs against: the embedded sandbox or a cluster."""
