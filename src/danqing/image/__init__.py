"""Pure functions on arrays: sizes, colours, masks. They know pixels in 0..1 and nothing else."""
