"""Long values as short texts: what both the trace view and the conversation view are made of."""
