"""Where results are folded while the load runs: tallies per operation, windows per class.

``tally``     counts and histograms of one kind of operation; what the hot path touches
``samples``   one row an operation, for whoever asked for them
``recorder``  all tallies of a scenario, its error windows and fault outages
"""
