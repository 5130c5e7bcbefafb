"""Training: what danqing learns, from what, and how it is kept."""
