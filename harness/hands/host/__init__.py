"""The hand on the node containers' side: what it does is in the keeper's ledger before."""
