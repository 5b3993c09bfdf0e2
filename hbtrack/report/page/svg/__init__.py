"""Shapes in the units of a drawing, which templates turn into SVG.

Read in this order: scales, drawing.
"""
