"""What faults are aimed at: how a target is read, picked and counted, and what is seen of it afterwards."""
