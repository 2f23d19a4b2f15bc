"""What a judge learned from labels: guidelines (semantic) and labelled examples (episodic)."""
