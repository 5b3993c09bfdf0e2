"""The screen of a search that runs, and its log.

Read in this order: overview, canvas, picture, screen, view, sentences, progress.
"""
