"""The load of many submissions, simulated: recorded calls, documented quotas, virtual time."""
