"""The atelier: where things are made. The only room that may import torch; nothing imports it but by name."""
