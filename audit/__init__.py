"""What audits the template, the code and the workflows: make audit."""
