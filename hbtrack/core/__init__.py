"""Decides; no clock, file, process or library in sight.

Read in this order: times, streams, records, consequences, script_text, contract, printed_error,
loss, schedule, gc_paused, decisions, plan_state, plan, known, places, repeats, rebuild,
simulation, estimate, summary, execution, exit_error, attempt_states, failure_causes, verdict,
gpu, gpu_health, derived, streak, limits.
"""
