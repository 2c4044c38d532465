"""Reports back to the systems of the facilities: what county.toml names as a [[destination]].

A change is matched and numbered in its own transaction by hub.subscriptions.watch; each destination is one lane, in which what was
numbered is mapped (mappers) and sent (`senders`) one after the other, until it is acknowledged or set aside with its reason.
"""
