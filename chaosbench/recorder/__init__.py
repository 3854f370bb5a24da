"""Where results are folded while the load runs: tallies per operation, windows per class.

``tally``     counts and histograms of one kind of operation; what the hot path touches
``recorder``  all tallies of a scenario, its error windows and fault outages
"""
