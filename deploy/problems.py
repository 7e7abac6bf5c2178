"""The error that keeps a deployment from going on."""


class DeployError(Exception):
    """The deployment cannot go on; the message is the problem and its remedy."""
