"""``chaosbench compare``: what differs between runs or series, in settings and in results, and how surely.

``effect``    sizes of effects and their certainty; pure
``settings``  what was set differently
``results``   what came out differently, and whether that is a regression
"""
