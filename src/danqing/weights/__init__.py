"""Weights: files of others in, named numpy arrays out; nothing in a file is ever executed or imported."""
