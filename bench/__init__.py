"""What chaosbench costs and what it can do, held against its peers: ``make bench``.

Every figure that is compared is a ratio within one run: programs take turns on
the same server and the same data, and a row is the median of its rounds.

``__main__``        which rows, what becomes of their results
``results``         rows, targets, verdicts; as JSON, as a table, as Markdown
``rows``            the table of all rows, in the order of the issue that asks for them
``surroundings``    the lab, the machine, other people's programs
``peers``           pgbench, sysbench, Locust: how they are run and read
``child``           this project's own side: a process a measurement, so that none inherits another's memory
``load``            the engine as a run has it, and a bare asyncpg loop that records nothing
``stand_in``        a server that speaks just enough of PostgreSQL's protocol, and stalls on demand
``throughput``, ``cost``, ``open_loop``, ``stall``, ``watching``, ``startup``, ``memory``, ``directory``,
``wide``, ``wide_folding``   the rows
``profile``         where the time of the hot path goes
"""
