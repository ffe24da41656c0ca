"""What is broken on two web servers of the tests' own, which are made once for all of it."""
