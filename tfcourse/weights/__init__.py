"""What is done to the weights of a network: masks, sharing, low rank, files."""
