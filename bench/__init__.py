"""What workers and their master cost, measured on this machine: `make bench`.

Each row measures its subject and its control in turns, in one process and one run; the control is
a bare hand-written grpcio worker or, where there is nothing to compare with, a count. The control is
measured twice in each round: the ratio of the two is the noise.
"""
