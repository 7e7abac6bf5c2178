"""`make deploy`: builds the stack and deploys it to its owner's AWS account."""
