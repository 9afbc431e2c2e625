"""The queues that are measured, one file each; ../system.py says what such a file is to have."""
