"""Pages for people: HTML files that hold all they need, and nothing of a plane that their reader may not see.

``benchmarks`` is for everybody, ``tenants`` for one tenant each, ``operations`` for the operator. The same content
gives the same bytes: no clock, no random, but for the nonce of what is sealed.
"""
