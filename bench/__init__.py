"""Measure Esteira on this machine: `make bench`. Figures are ratios within one run where they can be."""
