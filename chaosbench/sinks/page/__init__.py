"""The live page: what a browser shows of a run, served beside the metrics.

``history``  a point a second, older ones coarser, so that a week fits
``story``    events and ticks folded into what the page says: stages, faults, error windows, leaders, results
``sofar``    the expectations held against what has been measured so far
``cluster``  a snapshot of the cluster as a map
``feed``     server-sent events: every browser at its own pace, none can slow the run
``past``     results of earlier runs, and nothing else of the disk
``guard``    who may look, and who may stop the run
``routes``   the addresses
``sink``     all of it together, as a sink

The page's own files are in ``static``. Plotly's script draws the charts, served from where its package is installed.
"""
