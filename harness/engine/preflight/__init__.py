"""What is asked before anything is touched: which cluster, how far its rights reach, whether a run may act there."""
