"""What a document says and means: reading it, holding it to a closed schema, refusing what cannot be meant."""
