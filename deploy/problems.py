"""What can keep a deployment from going on."""


class DeployError(Exception):
    """The deployment cannot go on; the message is what is wrong and what to do about it."""
