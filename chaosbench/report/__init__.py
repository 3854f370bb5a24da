"""``chaosbench report``: what a run left behind, folded, drawn and written down.

``reading``   a directory's files, checked
``folding``   from intervals and summary to what the figures show; pure
``figures/``  drawn from what was folded; the only place that knows matplotlib
``page``, ``markdown``, ``junit``, ``data``  the forms in which a report is written
"""
