"""How one hub is many processes: fronts that speak HTTP and read, and one that writes."""
