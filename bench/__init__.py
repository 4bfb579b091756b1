"""ws-go beside its peers, measured on one machine in one run."""
