"""The command line for the owner of a stack, deployed or embedded. Not part of the layer."""
