"""Load from several processes, on one machine or on many: each runs the same engine for its share of it.

``offset``     how far another machine's clock is from ours, and how sure that is
``wire``       what workers and coordinator say to each other
``gathering``  (worker) a recorder that keeps what is to be sent
``share_run``  (worker) the engine for one share
``folding``    (coordinator) what the workers tell, folded into the run's own recorder, ledger and registers
``members``    (coordinator) one worker as the coordinator knows it
``engine``     (coordinator) looks to a scenario like the engine of one process
``desk``       (worker) where the coordinator's questions arrive
``dask``       the one module that knows Dask: starting workers, reaching them, noticing that they are gone

The coordinator asks, ten times a second, and the worker answers with what has come to pass since; a question that stays
without an answer is asked again, and the worker then says the same again. So nothing is lost or counted twice, every
exchange also measures the clocks, and a worker that nobody asks any more ends by itself.
"""
