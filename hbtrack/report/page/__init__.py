"""One self-contained page of a search: what was found, drawn, and the SQL behind it.

Read in this order: wording, facts, gather, ranks, svg, section, brackets, curves, comparisons,
parameters, early_stopping, workers, headline, sections, page, write.
"""
