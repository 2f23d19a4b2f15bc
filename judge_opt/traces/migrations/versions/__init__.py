"""One file a revision. A released file is never edited: what it made exists on people's disks."""
