"""A process that outlives chaosbench just long enough to heal what it left behind.

``__main__``  the guard itself: listens for its parent, and loads nothing until it has to heal
``parent``    the run's end of it: starts it, tells it every second that all is well, starts another when it dies
``take_over`` what it does when its parent is gone or does not answer

They talk through a pair of sockets. The parent sends BEAT every second and is
answered alike; its last word is GOODBYE. The kernel closes its end when it dies,
however it dies.
"""

BEAT = b"."
GOODBYE = b"!"

BEAT_S = 1.0
SILENCE_S = 10
"""Seconds without a beat after which the other is taken for hung."""
