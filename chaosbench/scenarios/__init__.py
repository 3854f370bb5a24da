"""Scenarios: from YAML to the model, and one scenario from start to verdict.

``document``  YAML with the position of every key
``loader``    the file's grammar; everything wrong with it, one line each
``entries``   the entries under ``load`` and ``faults``
``validate``  from a dict to a settings class, and what was wrong with it
``asked``     what is to be run: scenarios of a file, one trial, the rest of a series
``turns``     the scenarios of a run in turn, each in its directory
``series``    the trials of one scenario in turn; ``trials`` their seeds, ``series_files`` their directory,
              ``trials_report`` their figures together
``run``       one scenario, told in its docstring
``preflight`` what is checked before anything is touched
``faults``    the planned faults of a scenario while it runs
``afterwards`` a last look at the faults that are over
``observe``   who leads, while it runs
``report``    the summary, put together from what was recorded
``tying``     which fault opened which error window
``reconcile`` the ledger against every node
``database``  the database as a run uses it
"""
