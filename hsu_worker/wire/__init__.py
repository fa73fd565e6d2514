"""What both ends agree on: addresses, the announce line, launch variables, statuses, clients."""
