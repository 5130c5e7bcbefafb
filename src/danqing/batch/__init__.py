"""Many photos: what is to be painted (`plan`), by worker processes (`local`), each of which runs `worker`."""
