"""A small synthetic county: people, three facilities, and their systems, each speaking its real protocol over loopback."""
