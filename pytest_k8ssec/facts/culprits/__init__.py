"""Who let an attack through: the objects to blame for a breach, found by asking the API server once it has happened.

A finder answers one kind of question of ``evidence.causes``. It names an object only where that is shown, and else says why
it names none. Nothing here runs for what held.

- ``fields``: fields of an object that are set wrong; an object that the attack itself found.
- ``find``: the causes of a result's breaches, each handed to its finder.
- ``kept_in``: the object that a file or a variable of a container comes from.
- ``lacking``: namespaces that have none of what bounds them.
- ``places``: where an object is declared.
- ``policies``: the network policy that lets a connection through, or the namespace whose pods none holds.
- ``rights``: the bindings and roles that give a right.
- ``settings``: settings of the cluster's own programs, as they run.
- ``template_fields``: the fields of a pod template that give containers too much.
"""
