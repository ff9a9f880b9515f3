"""The collector: a client whose callbacks write down what comes, so that its coverage is known afterwards.

Nothing is decided here. `segments` is the source of truth on the disk, `ledger` tells what is missing, `manifest` sums
a run up, `verifying` checks all of it.
"""
