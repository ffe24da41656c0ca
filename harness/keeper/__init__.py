"""The keeper: it undoes what a dead run left on nodes, beside their containers or by the commands of a table."""
