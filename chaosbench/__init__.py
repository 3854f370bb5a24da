"""chaosbench: what the clients of a PostgreSQL HA cluster live through when its parts break.

Start reading at ``chaosbench/scenarios/run.py``, whose docstring tells a whole
run in ten lines; ``docs/architecture.md`` is the map of the rooms.
"""

__version__ = "0.1.0"
