"""afterword: asynchronous text generation; the package that every function shares."""

from afterword.runtime import cold_start

cold_start.begin()
