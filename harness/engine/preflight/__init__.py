"""What is asked before anything is touched: how far the rights reach in a cluster, and whether a run may act there."""
