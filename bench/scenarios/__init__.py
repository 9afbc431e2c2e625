"""What is measured, one file each; ../scenario.py says what such a file is to have."""
