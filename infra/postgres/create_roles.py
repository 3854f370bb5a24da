#!/usr/bin/python3
"""Creates the lab's roles and its database. Patroni runs this once, on the first leader, right after initdb.

Patroni itself makes the superuser, `replicator` and `rewind`. It passes the new cluster's connection string as the last
argument. The passwords travel in the environment and on standard input, never in an argument list.
"""

import os
import subprocess
import sys

SQL = """
\\set ON_ERROR_STOP on
\\set application `printenv CHAOSBENCH_PASSWORD`
\\set check `printenv PGPOOL_CHECK_PASSWORD`
CREATE ROLE chaosbench LOGIN PASSWORD :'application';
CREATE ROLE pgpool_check LOGIN PASSWORD :'check';
GRANT pg_monitor TO chaosbench, pgpool_check;
CREATE DATABASE chaosbench OWNER chaosbench;
"""

if __name__ == "__main__":
    psql = ["psql", "--no-psqlrc", "--quiet", "--dbname", sys.argv[-1]]
    sys.exit(subprocess.run(psql, input=SQL, text=True, env=os.environ, check=False).returncode)
