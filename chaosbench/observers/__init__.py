"""What watches the cluster while faults run, beside the load and sharing no connection with it.

``pace``    how often everybody looks: every 10 ms from a fault until recovery, seldom otherwise
``wire``    one persistent SQL connection, cheap enough to be asked that often
``dcs``     Patroni's leader key, watched on every etcd member
``nodes``   every PostgreSQL node, asked directly
``proxy``   Pgpool: whom it takes for the primary, and whom for up
``engine``  what the container engine says it did, by its own clock
``canary``  a write 200 times a second through Pgpool
``tail``    the load's p99, second by second
``record``  what they have told so far
``watch``   all of them together, for the length of a scenario

An observer that fails is named with its reason, and the run goes on without it.
"""
