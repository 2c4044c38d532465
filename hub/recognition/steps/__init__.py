"""The steps of mutual recognition, one module each: pure functions, same facts in, same outcome out.

1 mapping · 2 person and status · 3 context · 4 area and tier · 5 quality · 6 window · 7 comparable · 8 readable · 9 newest.
"""
