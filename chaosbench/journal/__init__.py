"""What is done to the cluster, on disk before it is done, so that anybody can undo it.

``entries``    one fault on one member, to JSON and back
``directory``  the entries of one lab: written safely, closed into a history
``whole``      heal every open entry
``place``      where all this lies, and who may use the lab now
"""
