"""Decides; no clock, file, process or library in sight.

Read in this order: records, contract, schedule, gc_paused, plan, simulation, estimate, summary,
execution, verdict, failure_causes, gpu, gpu_health, limits.
"""
