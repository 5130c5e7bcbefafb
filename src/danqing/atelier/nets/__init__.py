"""Networks: one design a file, plain torch modules without files and without training."""
