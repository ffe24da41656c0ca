"""The hand that acts through the API server alone: whoever reaches it can act, and heal."""
