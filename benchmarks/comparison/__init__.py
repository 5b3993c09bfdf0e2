"""hbtrack beside its peers: what is measured, the page that says it, and the pictures."""
