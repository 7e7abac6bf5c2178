"""The audit of template, code and workflows (`make audit`), and the prose check."""
